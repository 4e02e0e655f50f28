# What every target shares: language, warnings, sanitizers, where the outputs go.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

set(HAK_SANITIZE "" CACHE STRING "sanitizers: empty, address or thread")
set_property(CACHE HAK_SANITIZE PROPERTY STRINGS "" address thread)
option(HAK_DEBUG_CHECKS "the costly self-checks of every floor" OFF)

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

# hak_plain: language and warnings. Only what is preloaded into programs that nobody here built links
# it directly: a sanitizer's run-time must not come along.
# hak_common: the same with the build's sanitizers; every other target links it.
add_library(hak_plain INTERFACE)
add_library(hak_common INTERFACE)
target_link_libraries(hak_common INTERFACE hak_plain)
target_compile_definitions(hak_plain INTERFACE _GNU_SOURCE)
target_compile_options(hak_plain INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wpointer-arith -Wwrite-strings -Wvla -Wundef -Wcast-qual
  -fno-omit-frame-pointer -fno-strict-aliasing -g
  "-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=")
if(HAK_DEBUG_CHECKS)
  target_compile_definitions(hak_plain INTERFACE HAK_DEBUG_CHECKS=1)
endif()
if(HAK_SANITIZE STREQUAL "address")
  target_compile_options(hak_common INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all)
  target_link_options(hak_common INTERFACE -fsanitize=address,undefined)
elseif(HAK_SANITIZE STREQUAL "thread")
  target_compile_options(hak_common INTERFACE -fsanitize=thread)
  target_link_options(hak_common INTERFACE -fsanitize=thread)
endif()

# The commit a result is labelled with, read at configure time and again when HEAD moves.
execute_process(COMMAND git describe --always --dirty --abbrev=12
  WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}" OUTPUT_VARIABLE HAK_COMMIT
  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT HAK_COMMIT)
  set(HAK_COMMIT "unknown")
endif()
configure_file("${CMAKE_SOURCE_DIR}/cmake/hak_version.h.in" "${CMAKE_BINARY_DIR}/include/hak_version.h")
target_include_directories(hak_plain INTERFACE "${CMAKE_BINARY_DIR}/include")
