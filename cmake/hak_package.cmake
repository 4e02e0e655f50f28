# What other projects and the distribution need of an installation: pkg-config files, a CMake
# package, and a Debian package by `cpack -G DEB`.
include(CMakePackageConfigHelpers)

foreach(name mf2 haktrace)
  configure_file("${CMAKE_SOURCE_DIR}/cmake/package/${name}.pc.in" "${CMAKE_BINARY_DIR}/package/${name}.pc" @ONLY)
  install(FILES "${CMAKE_BINARY_DIR}/package/${name}.pc" DESTINATION lib/pkgconfig)
endforeach()
write_basic_package_version_file("${CMAKE_BINARY_DIR}/package/hakConfigVersion.cmake"
  VERSION "${PROJECT_VERSION}" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_SOURCE_DIR}/cmake/package/hakConfig.cmake" "${CMAKE_BINARY_DIR}/package/hakConfigVersion.cmake"
  DESTINATION lib/cmake/hak)

# ---------------------------------------------------------------- Debian

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME hak)
set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
set(CPACK_PACKAGE_VENDOR "hak")
set(HAK_MAINTAINER "The hak developers <hak@hak.invalid>" CACHE STRING "who answers for the Debian package")
set(CPACK_PACKAGE_CONTACT "${HAK_MAINTAINER}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "record, replay and simulate memory allocation")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Records the allocation history of a real program, plays it back to a real
allocator under thread interleavings that it controls, simulates the same
allocator on machines with more cores, and reports which policy holds how
many pages, and why. Contains MF2, a malloc that can be preloaded.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${CMAKE_BINARY_DIR}/lib")
# CPack would call ldconfig from scripts; policy wants a trigger.
file(WRITE "${CMAKE_BINARY_DIR}/package/shlibs" "libmf2 ${PROJECT_VERSION_MAJOR} hak (= ${PROJECT_VERSION})\n")
file(WRITE "${CMAKE_BINARY_DIR}/package/triggers" "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${CMAKE_BINARY_DIR}/package/shlibs;${CMAKE_BINARY_DIR}/package/triggers")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "python3 (>= 3.11)")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "python3-matplotlib, python3-numpy, zstd")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "binutils, libjemalloc2, libmimalloc2.0, libtcmalloc-minimal4")
# Turns what `cmake --install` puts there into what Debian's policy wants: see the script.
set(CPACK_PRE_BUILD_SCRIPTS "${CMAKE_SOURCE_DIR}/cmake/package/debian_files.cmake")
include(CPack)
