# The libraries as imported targets: deps::uv, deps::llhttp, deps::wslay, deps::mbedtls, deps::yaml, deps::crypt, deps::seccomp, Threads::Threads.
#
# cmake/dependencies.sh decides for each of the first four between an installed library that is new enough and one of
# its own under UPGATE_DEPS_DIR; what it left in that folder is used, anything else is taken from the system.
# -DUPGATE_DEPS_PREFIX=FOLDER skips the script and looks for include/ and lib/ in FOLDER.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

set(UPGATE_DEPS_PREFIX "" CACHE PATH "Ready-made libraries; empty: cmake/dependencies.sh gets what is not installed")
cmake_path(IS_PREFIX PROJECT_SOURCE_DIR "${PROJECT_BINARY_DIR}" NORMALIZE inside)
if(inside)
    set(default_dir ${PROJECT_SOURCE_DIR}/build/deps) # one folder for all presets
else()
    set(default_dir ${PROJECT_BINARY_DIR}/deps)
endif()
set(UPGATE_DEPS_DIR ${default_dir} CACHE PATH "Where cmake/dependencies.sh puts what it builds")

if(UPGATE_DEPS_PREFIX)
    set(deps_from ${UPGATE_DEPS_PREFIX})
else()
    set(deps_from ${UPGATE_DEPS_DIR})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
        ${PROJECT_SOURCE_DIR}/cmake/dependencies.sh ${PROJECT_SOURCE_DIR}/cmake/dependencies.lock
        ${PROJECT_SOURCE_DIR}/cmake/mbedtls_user_config.h)
    execute_process(COMMAND sh ${PROJECT_SOURCE_DIR}/cmake/dependencies.sh ${UPGATE_DEPS_DIR} RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "cmake/dependencies.sh could not provide every library: see its messages above")
    endif()
endif()

# deps_library(TARGET FOLDER HEADER PKGCONFIG LIBRARY...): the target deps::TARGET, from deps_from/FOLDER or deps_from,
# else from the system. The LIBRARY list is in link order; a|b are two names for one. The search is made afresh at each
# configure, since the folder may have changed.
function(deps_library target folder header pkgconfig)
    add_library(deps::${target} INTERFACE IMPORTED GLOBAL)
    find_path(headers ${header} PATHS ${deps_from}/${folder} ${deps_from} PATH_SUFFIXES include NO_DEFAULT_PATH NO_CACHE)
    if(headers)
        string(REGEX REPLACE "/$" "" headers ${headers})
        cmake_path(GET headers PARENT_PATH from)
        set(where PATHS ${from}/lib NO_DEFAULT_PATH)
    else()
        pkg_check_modules(deps_${target} QUIET ${pkgconfig})
        set(where HINTS ${deps_${target}_LIBRARY_DIRS})
        set(from "installed ${deps_${target}_VERSION}")
        find_path(headers ${header} HINTS ${deps_${target}_INCLUDE_DIRS} NO_CACHE)
    endif()
    if(NOT headers)
        message(FATAL_ERROR "${header} is neither under ${deps_from} nor installed")
    endif()
    target_include_directories(deps::${target} SYSTEM INTERFACE ${headers})
    foreach(library IN LISTS ARGN)
        string(REPLACE "|" ";" names ${library})
        find_library(file NAMES ${names} ${where} NO_CACHE)
        if(NOT file)
            message(FATAL_ERROR "library ${library} (${from}) is not there")
        endif()
        target_link_libraries(deps::${target} INTERFACE ${file})
        unset(file)
    endforeach()
    message(STATUS "${folder}: ${from}")
endfunction()

deps_library(uv libuv uv.h libuv "uv|uv_a")
target_link_libraries(deps::uv INTERFACE Threads::Threads ${CMAKE_DL_LIBS} rt)
deps_library(llhttp llhttp llhttp.h libllhttp "llhttp")
deps_library(wslay wslay wslay/wslay.h libwslay "wslay")
deps_library(mbedtls mbedtls mbedtls/version.h "mbedtls>=3.6" "mbedtls" "mbedx509" "mbedcrypto")
# A static libmbedcrypto leaves these parts in libraries of their own.
foreach(part IN ITEMS everest p256m)
    find_library(file lib${part}.a PATHS ${deps_from}/mbedtls/lib ${deps_from}/lib NO_DEFAULT_PATH NO_CACHE)
    if(file)
        target_link_libraries(deps::mbedtls INTERFACE ${file})
    endif()
    unset(file)
endforeach()
target_link_libraries(deps::mbedtls INTERFACE Threads::Threads)

find_path(UPGATE_CRYPT_HEADERS crypt.h)
find_library(UPGATE_CRYPT_LIBRARY crypt)
mark_as_advanced(UPGATE_CRYPT_HEADERS UPGATE_CRYPT_LIBRARY)
if(NOT UPGATE_CRYPT_HEADERS OR NOT UPGATE_CRYPT_LIBRARY)
    message(FATAL_ERROR "libcrypt is missing (Debian: libcrypt-dev)")
endif()
add_library(deps::crypt INTERFACE IMPORTED GLOBAL)
target_link_libraries(deps::crypt INTERFACE ${UPGATE_CRYPT_LIBRARY})

pkg_check_modules(seccomp QUIET IMPORTED_TARGET GLOBAL libseccomp)
if(NOT seccomp_FOUND)
    message(FATAL_ERROR "libseccomp is missing (Debian: libseccomp-dev)")
endif()
add_library(deps::seccomp ALIAS PkgConfig::seccomp)

pkg_check_modules(yaml QUIET IMPORTED_TARGET GLOBAL yaml-0.1)
if(NOT yaml_FOUND)
    message(FATAL_ERROR "libyaml is missing (Debian: libyaml-dev)")
endif()
add_library(deps::yaml ALIAS PkgConfig::yaml)
