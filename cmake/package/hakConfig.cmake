# find_package(hak): targets hak::mf2 (linking it replaces the C library's malloc) and hak::trace.
get_filename_component(_hak_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

if(NOT TARGET hak::mf2)
  add_library(hak::mf2 SHARED IMPORTED)
  set_target_properties(hak::mf2 PROPERTIES
    IMPORTED_LOCATION "${_hak_prefix}/lib/libmf2.so"
    INTERFACE_INCLUDE_DIRECTORIES "${_hak_prefix}/include/hak"
    INTERFACE_LINK_OPTIONS "-Wl,--no-as-needed") # a program may need it without naming a symbol of it
endif()

if(NOT TARGET hak::trace)
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(HAK_TRACE_NEEDS REQUIRED IMPORTED_TARGET libzstd libxxhash jansson)
  add_library(hak::trace STATIC IMPORTED)
  set_target_properties(hak::trace PROPERTIES
    IMPORTED_LOCATION "${_hak_prefix}/lib/libhaktrace.a"
    INTERFACE_INCLUDE_DIRECTORIES "${_hak_prefix}/include/hak"
    INTERFACE_LINK_LIBRARIES PkgConfig::HAK_TRACE_NEEDS)
endif()
unset(_hak_prefix)
