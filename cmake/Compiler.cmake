# How every file of the project is compiled and linked: warnings, optimisation, sanitizers, hardening.
# All of it hangs on one interface target, upgate_flags. What a compiler does not know is left out, never an error.
include(CheckCCompilerFlag)
include(CheckPIESupported)

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
endif()
# Assertions stay on in every build: no NDEBUG anywhere.
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
set(CMAKE_C_FLAGS_MINSIZEREL "-Os -g")

if(UPGATE_CCACHE AND NOT CMAKE_C_COMPILER_LAUNCHER)
    find_program(UPGATE_CCACHE_PROGRAM ccache)
    mark_as_advanced(UPGATE_CCACHE_PROGRAM)
    if(UPGATE_CCACHE_PROGRAM)
        set(CMAKE_C_COMPILER_LAUNCHER ${UPGATE_CCACHE_PROGRAM})
    endif()
endif()

# A release is optimised across files: many functions of protocol/ are three lines long and called from everywhere.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT UPGATE_SANITIZE)
    include(CheckIPOSupported)
    check_ipo_supported(RESULT UPGATE_HAVE_IPO OUTPUT ignored LANGUAGES C)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ${UPGATE_HAVE_IPO})
endif()

check_pie_supported(LANGUAGES C)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

add_library(upgate_flags INTERFACE)
target_compile_definitions(upgate_flags INTERFACE UPGATE_VERSION="${PROJECT_VERSION}")

if(CMAKE_BUILD_TYPE STREQUAL "Debug")
    # UPGATE_WEATHER is obeyed, and the program says at its end what memory is left.
    target_compile_definitions(upgate_flags INTERFACE UPGATE_WEATHER_ENABLED=1)
endif()

# upgate_flag(FLAG): for compiling, where the compiler has it.
function(upgate_flag flag)
    string(MAKE_C_IDENTIFIER "HAVE_FLAG${flag}" known)
    set(CMAKE_REQUIRED_FLAGS "-Werror")
    set(CMAKE_REQUIRED_QUIET ON)
    check_c_compiler_flag(${flag} ${known})
    if(${known})
        target_compile_options(upgate_flags INTERFACE ${flag})
    endif()
endfunction()

foreach(flag IN ITEMS
        -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef
        -Wold-style-definition -Wpointer-arith -Wwrite-strings -Wimplicit-fallthrough -Wnested-externs
        -Wduplicated-cond -Wtrampolines -Wdate-time)
    upgate_flag(${flag})
endforeach()
if(UPGATE_WERROR)
    target_compile_options(upgate_flags INTERFACE -Werror)
endif()

# The same source gives the same program wherever it was built: no build folder in asserts and debug information.
upgate_flag(-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
target_link_options(upgate_flags INTERFACE -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)    # where a release's code is made
upgate_flag(-fno-common)
upgate_flag(-fno-strict-aliasing)

foreach(flag IN ITEMS -fstack-protector-strong -fstack-clash-protection -fcf-protection -ftrivial-auto-var-init=zero)
    if(NOT UPGATE_SANITIZE OR NOT flag MATCHES "trivial")
        upgate_flag(${flag})
    endif()
endforeach()
target_link_options(upgate_flags INTERFACE -Wl,-z,relro,-z,now -Wl,-z,noexecstack)

if(UPGATE_SANITIZE)
    target_compile_options(upgate_flags INTERFACE
        -fsanitize=${UPGATE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(upgate_flags INTERFACE -fsanitize=${UPGATE_SANITIZE})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    # Level 3 where compiler and libc know it. Distributions switch a level on by themselves: undefine it first.
    include(CheckCSourceCompiles)
    set(CMAKE_REQUIRED_FLAGS "-O2 -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
    check_c_source_compiles("#include <string.h>
        int main(int n, char **v) { char b[8]; strncpy(b, v[n - 1], 7); b[7] = 0; return b[0]; }" UPGATE_HAVE_FORTIFY_3)
    unset(CMAKE_REQUIRED_FLAGS)
    set(level $<IF:$<BOOL:${UPGATE_HAVE_FORTIFY_3}>,3,2>)
    target_compile_options(upgate_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${level})
endif()

if(UPGATE_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "UPGATE_FUZZ needs clang: use the preset 'fuzz', or -DCMAKE_C_COMPILER=clang")
    endif()
    target_compile_options(upgate_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
