# Copies a file with one text replaced: cmake -DFROM_FILE= -DTO_FILE= -DFROM= -DTO= -P replace_text.cmake
# A file that does not hold the text stops the build: the mutant must be written anew.
file(READ "${FROM_FILE}" text)
string(FIND "${text}" "${FROM}" place)
if(place EQUAL -1)
  message(FATAL_ERROR "${FROM_FILE}: expected \"${FROM}\", which the mutant replaces")
endif()
string(REPLACE "${FROM}" "${TO}" text "${text}")
file(WRITE "${TO_FILE}" "${text}")
