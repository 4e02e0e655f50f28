# cmake -DSOURCE=alloc -DTREE=folder -DPATCH_FILE=bug.patch -DPATCH=patch -P make_mutant.cmake
# Copies alloc/ to TREE/alloc and puts one bug in.
file(REMOVE_RECURSE "${TREE}")
file(GLOB sources "${SOURCE}/*.[ch]")
file(COPY ${sources} DESTINATION "${TREE}/alloc")

file(STRINGS "${PATCH_FILE}" headers REGEX "^\\+\\+\\+ .*\\.h")
if(headers)
  message(FATAL_ERROR "${PATCH_FILE}: changes a header, which the machine is built with unpatched")
endif()
execute_process(COMMAND "${PATCH}" -p1 -F1 --batch --forward --no-backup-if-mismatch -i "${PATCH_FILE}"
  WORKING_DIRECTORY "${TREE}" RESULT_VARIABLE failed OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(failed)
  file(REMOVE_RECURSE "${TREE}")
  message(FATAL_ERROR "${PATCH_FILE}: no longer applies to alloc/: ${said}")
endif()
# Copies keep the originals' times; what was made now must be newer than what it was made from.
file(GLOB copies "${TREE}/alloc/*.[ch]")
file(TOUCH ${copies})
