# Writes OUTPUT, a C file that holds the FILES byte for byte (see machine_files.h).
set(arrays "")
set(rows "")
set(number 0)
foreach(file ${FILES})
  get_filename_component(name "${file}" NAME_WE)
  file(READ "${file}" bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(APPEND arrays "static const unsigned char file_${number}[] = {${bytes}};\n")
  string(APPEND rows
    "    {\"${name}\", (const char *)file_${number}, sizeof file_${number}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE "${OUTPUT}"
  "// Made by embed_machines.cmake from sim/machines/*.json.\n"
  "#include \"machine_files.h\"\n\n${arrays}\n"
  "const struct sim_machine_file sim_machine_files[] = {\n${rows}};\n"
  "const size_t sim_machine_file_count = ${number};\n")
