# Run by cpack on the staged files: compresses pages and changelog, puts the licence where Debian
# keeps it. CPACK_TEMPORARY_INSTALL_DIRECTORY is where they are.
set(usr "${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr")
set(documents "${usr}/share/doc/hak")

file(READ "${documents}/LICENSE" licence)
file(WRITE "${documents}/copyright" "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: hak\n\nFiles: *\nCopyright: 2026 the hak authors\nLicense: Expat\n")
string(REGEX REPLACE "\n\n" "\n.\n" licence "${licence}")
string(REGEX REPLACE "\n" "\n " licence "${licence}")
string(REGEX REPLACE "\n +$" "\n" licence "${licence}")
file(APPEND "${documents}/copyright" " ${licence}")
file(REMOVE "${documents}/LICENSE")

string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC) # SOURCE_DATE_EPOCH, where that is set
file(WRITE "${documents}/changelog"
  "hak (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- ${CPACK_PACKAGE_CONTACT}  ${now}\n")
file(GLOB pages "${usr}/share/man/man*/*")
execute_process(COMMAND gzip -9nf "${documents}/changelog" ${pages} COMMAND_ERROR_IS_FATAL ANY)
file(GLOB_RECURSE all LIST_DIRECTORIES true "${CPACK_TEMPORARY_INSTALL_DIRECTORY}/*")
foreach(path ${all})
  if(IS_DIRECTORY "${path}")
    file(CHMOD "${path}" PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  endif()
endforeach()
