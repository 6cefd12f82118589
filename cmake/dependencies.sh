#!/bin/sh
# dependencies.sh FOLDER: sees to it that libuv, llhttp, wslay and mbedTLS can be used to build this project.
#
# For each library: an installed one that is new enough is used as it is, and FOLDER gets nothing. Otherwise the library
# is had from the Debian mirror that this machine already uses, and ends up in FOLDER/NAME (include/ and lib/).
# Getting goes through a private apt whose every file is inside FOLDER: other suites than the machine's own can be read
# without changing the machine, and without root. apt checks each file against indexes signed with Debian's keyring.
# Each library has several routes, tried in order: the archives of dependencies.lock, then the newest of each package.
# A library appears in FOLDER by one rename, with a key of all that went into it; a run that finds the key does nothing.
#
# What can go wrong: tools missing; no Debian mirror in apt's sources; no network; a version gone from the mirror (the
# next route is taken and the message says so); a tarball that does not build (the end of its log is shown).
#
# Knobs (environment):
#   UPGATE_DEPS_FORCE=1       do not use installed libraries
#   UPGATE_DEPS_SKIP="..."    treat these as not to be had: PACKAGE or PACKAGE=VERSION, separated by blanks
#   UPGATE_DEPS_CC=...        the compiler for the libraries (default: cc); one for all presets
#   UPGATE_DEPS_KEYRING=...   the keyring for the indexes' signatures (default: that of debian-archive-keyring)
set -eu
export LC_ALL=C
umask 022

say() { printf 'dependencies: %s\n' "$*"; }
warn() { printf 'dependencies: %s\n' "$*" >&2; }
die() { warn "$*"; exit 1; }

[ $# -eq 1 ] || die "usage: dependencies.sh FOLDER"
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
top=$(cd "$1" && pwd)
work=$top/.work                # everything of a run; removed when all went well
archives=$top/.archives        # what was downloaded and is in the lock file: used again without network
lock_file=$here/dependencies.lock
mbedtls_config=$here/mbedtls_user_config.h
keyring=${UPGATE_DEPS_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}
cc=${UPGATE_DEPS_CC:-cc}
cflags="-O2 -g -fPIC -fstack-protector-strong"
jobs=$(nproc 2>/dev/null || echo 2)
network_limit=600              # seconds for one apt call

# ---- the keys that say whether a library is what this script would make ----

common_key=
library_key() { # NAME: all that the result depends on
    [ -n "$common_key" ] || common_key=$(
        cat "$0"
        echo "$cflags"
        { "$cc" --version && "$cc" -dumpmachine; } 2>/dev/null || echo none)
    {
        printf '%s\n' "$common_key"
        grep "^$1[[:space:]]" "$lock_file" || :
        [ "$1" != mbedtls ] || cat "$mbedtls_config"
    } | sha256sum | cut -d' ' -f1
}

# ---- an installed library? ----

installed() { # NAME: 0 and a message where one that is new enough is installed
    [ -z "${UPGATE_DEPS_FORCE:-}" ] || return 1
    case $1 in
    libuv) by_pkgconfig libuv 1.44 ;;
    llhttp) by_pkgconfig libllhttp 9.2 ;;
    mbedtls) by_pkgconfig mbedtls 3.6 && by_pkgconfig mbedcrypto 3.6 ;;
    wslay) by_pkgconfig libwslay 1.1.1 || wslay_by_trial ;;
    esac
}

by_pkgconfig() {
    pkg-config --atleast-version="$2" "$1" 2>/dev/null && found=$(pkg-config --modversion "$1")
}

# Before 2025 Debian's package has no .pc file. The version is in the header; the linker says whether the library is there.
wslay_by_trial() {
    local trial
    trial=$(mktemp -d) || return 1
    printf '%s\n' '#include <stddef.h>' '#include <wslay/wslay.h>' '#include <wslay/wslayver.h>' '#include <stdio.h>' \
        'int main(void) { return puts(WSLAY_VERSION) < 0 || !wslay_frame_context_free; }' >"$trial/t.c"
    found=$({ "$cc" "$trial/t.c" -o "$trial/t" -lwslay && "$trial/t"; } 2>/dev/null) || found=
    rm -rf "$trial"
    [ -n "$found" ] && dpkg --compare-versions "$found" ge 1.1.1
}

# ---- the private apt ----

apt_dir=$work/apt

apt_prepare() { # once per run
    [ ! -e "$apt_dir/mirror" ] || return 0
    for tool in apt-get apt-cache dpkg dpkg-deb; do
        command -v "$tool" >/dev/null || { warn "$tool is missing: libraries can only be had on Debian and its kin"; return 1; }
    done
    [ -r "$keyring" ] || { warn "no keyring $keyring (package debian-archive-keyring)"; return 1; }
    rm -rf "$apt_dir"
    mkdir -p "$apt_dir/lists/partial" "$apt_dir/archives/partial" "$apt_dir/empty"
    : >"$apt_dir/status"
    : >"$apt_dir/sources.list"
    : >"$apt_dir/ready"
    # Read with -c, after the machine's own configuration: its proxy settings stay, its hooks must not run.
    cat >"$apt_dir/conf" <<END
Dir::State "$apt_dir";
Dir::State::lists "$apt_dir/lists";
Dir::State::status "$apt_dir/status";
Dir::Cache "$apt_dir";
Dir::Cache::archives "$apt_dir/archives";
Dir::Cache::pkgcache "packages.bin";
Dir::Cache::srcpkgcache "sources.bin";
Dir::Etc::sourcelist "$apt_dir/sources.list";
Dir::Etc::sourceparts "$apt_dir/empty";
Dir::Etc::preferences "$apt_dir/status";
Dir::Etc::preferencesparts "$apt_dir/empty";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Sandbox::User "";
APT::Get::List-Cleanup "false";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::GzipIndexes "false";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
END
    # The machine's own archive; security and update archives hold only some packages.
    apt-get indextargets --no-release-info --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        awk '$2 == "main" && $1 !~ /secur|updates|backports|proposed/ { print $3; exit }' >"$apt_dir/mirror.new"
    [ -s "$apt_dir/mirror.new" ] || { warn "apt's sources name no Debian archive with the component main"; return 1; }
    mv "$apt_dir/mirror.new" "$apt_dir/mirror"
}

private_apt() { # COMMAND ARGUMENTS...: apt-get or apt-cache on the private state
    local command=$1
    shift
    timeout "$network_limit" "$command" -c "$apt_dir/conf" -qq "$@"
}

# suite_ready KIND SUITE: the index of one suite, fetched when first needed. A suite that this mirror does not have costs
# one message and is not asked for again.
suite_ready() {
    local line
    case $1 in source) line="deb-src [signed-by=$keyring]" ;; deb) line="deb [signed-by=$keyring]" ;; esac
    apt_prepare || return 1
    ! grep -qx "$1 $2 ok" "$apt_dir/ready" || return 0
    ! grep -qx "$1 $2 no" "$apt_dir/ready" || return 1
    line="$line $(cat "$apt_dir/mirror") $2 main"
    printf '%s\n' "$line" >"$apt_dir/one.list"
    if private_apt apt-get update -o Dir::Etc::sourcelist="$apt_dir/one.list" -o APT::Update::Error-Mode=any \
        >"$apt_dir/update.log" 2>&1; then
        printf '%s\n' "$line" >>"$apt_dir/sources.list"
        echo "$1 $2 ok" >>"$apt_dir/ready"
    else
        warn "suite $2 ($1 index) is not to be had: $(grep -m1 '^E:' "$apt_dir/update.log" || tail -n 1 "$apt_dir/update.log")"
        echo "$1 $2 no" >>"$apt_dir/ready"
        return 1
    fi
}

own_suite=$(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}") || own_suite=
all_suites=$(printf '%s\n' trixie sid bookworm "$own_suite" | awk 'NF && !seen[$0]++')

skipped() { # PACKAGE VERSION: by the knob
    case " ${UPGATE_DEPS_SKIP:-} " in *" $1 "* | *" $1=$2 "*) return 0 ;; esac
    return 1
}

versions() { # KIND PACKAGE MINIMUM: those in the indexes at hand, newest first
    case $1 in
    source) private_apt apt-cache showsrc --only-source "$2" ;;
    deb) private_apt apt-cache show --all-versions "$2" ;;
    esac 2>/dev/null | sed -n 's/^Version: //p' | sort -ruV | while read -r version; do
        ! dpkg --compare-versions "$version" ge "$3" || echo "$version"
    done
}

# download KIND PACKAGE VERSION FOLDER: sets `file` to the archive
download() {
    if skipped "$2" "$3"; then
        warn "$2 $3: skipped as UPGATE_DEPS_SKIP asks"
        return 1
    fi
    rm -rf "$4"
    mkdir -p "$4"
    case $1 in
    source) set -- "$@" source --only-source --download-only ;;
    deb) set -- "$@" download ;;
    esac
    local kind=$1 package=$2 version=$3 folder=$4
    shift 4
    if ! (cd "$folder" && private_apt apt-get "$@" "$package=$version") >"$folder/log" 2>&1; then
        warn "$package $version ($kind) is not to be had: $(grep -m1 '^E:' "$folder/log" || echo 'see the network')"
        return 1
    fi
    case $kind in
    source) file=$(find "$folder" -name '*.orig.tar.*' ! -name '*.asc' | head -n 1) ;;
    deb) file=$(find "$folder" -name '*.deb' | head -n 1) ;;
    esac
    [ -n "$file" ] || { warn "$package $version ($kind): no archive among the files"; return 1; }
}

unpack() { # KIND ARCHIVE FOLDER; cmake's tar needs no program beside it for any compression
    rm -rf "$3" "$3.all"
    case $1 in
    source) mkdir -p "$3.all" && (cd "$3.all" && cmake -E tar xf "$2") && mv "$3.all"/*/ "$3" && rm -rf "$3.all" ;;
    deb) mkdir -p "$3" && dpkg-deb -x "$2" "$3" ;;
    esac
}

# ---- building; each make_NAME PACKAGE TREE VERSION leaves include/ and lib/ in $out ----
# These are called where the shell's -e does not hold: every step that can fail is chained.

compile() { # NAME FLAGS FILES...: some C files into a static library
    local archive=$1 flags=$2 objects c_file
    shift 2
    objects=$work/objects-$archive
    rm -rf "$objects"
    mkdir -p "$objects" "$out/lib" || return 1
    for c_file; do
        # shellcheck disable=SC2086
        "$cc" $cflags -I"$out/include" $flags -c "$c_file" -o "$objects/$(basename "$c_file" .c).o" || return 1
    done
    ar rcs "$out/lib/lib$archive.a" "$objects"/*.o
}

cmake_build() { # SOURCE OPTIONS...
    local source=$1 generator
    shift
    rm -rf "$work/cmake"
    generator='Unix Makefiles'
    ! command -v ninja >/dev/null || generator=Ninja
    CFLAGS=$cflags cmake -G "$generator" -S "$source" -B "$work/cmake" -DCMAKE_C_COMPILER="$cc" -DCMAKE_BUILD_TYPE=None \
        -DCMAKE_POLICY_VERSION_MINIMUM=3.5 -DCMAKE_INSTALL_PREFIX="$out" -DCMAKE_INSTALL_LIBDIR=lib "$@" &&
        cmake --build "$work/cmake" -j "$jobs" && cmake --install "$work/cmake" && rm -rf "$work/cmake"
}

header_number() { # FILE MACRO
    sed -n "s/^# *define  *$2  *\"\{0,1\}\([0-9.]*\).*/\1/p" "$1" | head -n 1
}

need_version() { # WHAT FOUND MINIMUM: what a carrier holds may be older than its own version suggests
    dpkg --compare-versions "${2:-0}" ge "$3" || { echo "it holds $1 $2, and $3 is needed"; return 1; }
}

# What a Debian -dev package brings ready-made.
take_package() { # TREE LIBRARIES... -- HEADERS...
    local tree=$1 library found_header header
    shift
    mkdir -p "$out/lib" "$out/include" || return 1
    while [ "$1" != -- ]; do
        library=$(find "$tree/usr/lib" -name "$1" | head -n 1)
        [ -n "$library" ] || { echo "the package has no $1"; return 1; }
        cp -L "$library" "$out/lib/" || return 1
        shift
    done
    shift
    for header; do
        found_header=$(find "$tree/usr/include" -maxdepth 2 -name "$header" | head -n 1)
        [ -n "$found_header" ] || { echo "the package has no header $header"; return 1; }
        cp -R "$found_header" "$out/include/" || return 1
    done
}

make_libuv() {
    case $1 in
    libuv1)
        cmake_build "$2" -DLIBUV_BUILD_SHARED=OFF -DLIBUV_BUILD_TESTS=OFF -DLIBUV_BUILD_BENCH=OFF -DBUILD_TESTING=OFF ||
            return 1
        # Its name has changed over the versions; where the shared one cannot be switched off, it is not wanted.
        [ -e "$out/lib/libuv_a.a" ] || mv "$out/lib/libuv.a" "$out/lib/libuv_a.a" || return 1
        rm -f "$out"/lib/libuv.so*
        ;;
    libuv1-dev) take_package "$2" libuv_a.a -- uv.h uv ;;
    esac
}

make_llhttp() {
    local tree major minor
    case $1 in
    libllhttp-source) tree=$2/usr/src/llhttp ;;
    nghttp2) tree=$2/third-party/llhttp ;;
    libllhttp-dev) tree= && take_package "$2" libllhttp.a -- llhttp.h || return 1 ;;
    esac
    if [ -n "$tree" ]; then
        mkdir -p "$out/include" && cp "$tree/include/llhttp.h" "$out/include/" && compile llhttp "" "$tree"/src/*.c || return 1
    fi
    major=$(header_number "$out/include/llhttp.h" LLHTTP_VERSION_MAJOR)
    minor=$(header_number "$out/include/llhttp.h" LLHTTP_VERSION_MINOR)
    need_version llhttp "$major.$minor" 9.2
}

make_wslay() { # PACKAGE TREE VERSION
    local tree held
    case $1 in
    wslay) tree=$2 ;;
    aria2) tree=$2/deps/wslay ;;
    libwslay-dev)
        # There is no static library in it. The shared one must be installed where the program runs (Debian: libwslay1).
        take_package "$2" -- wslay && download deb libwslay1 "$3" "$work/get2" && unpack deb "$file" "$2" &&
            take_package "$2" libwslay.so.1 -- && ln -sf libwslay.so.1 "$out/lib/libwslay.so"
        return
        ;;
    esac
    held=$(sed -n 's/^AC_INIT(\[wslay\], *\[\([0-9.]*\).*/\1/p' "$tree/configure.ac" | head -n 1)
    need_version wslay "$held" 1.1.1 && mkdir -p "$out/include/wslay" &&
        cp "$tree/lib/includes/wslay/wslay.h" "$out/include/wslay/" || return 1
    # The one header that its configure script writes.
    printf '#ifndef WSLAYVER_H\n#define WSLAYVER_H\n#define WSLAY_VERSION "%s"\n#endif\n' "$held" \
        >"$out/include/wslay/wslayver.h" || return 1
    compile wslay "-I$tree/lib -DHAVE_ARPA_INET_H=1 -DHAVE_NETINET_IN_H=1" "$tree"/lib/wslay_*.c
}

make_mbedtls() {
    local extra
    case $1 in
    mbedtls)
        cp "$mbedtls_config" "$2/include/mbedtls/upgate_user_config.h" &&
            printf '\n#include "mbedtls/upgate_user_config.h"\n' >>"$2/include/mbedtls/mbedtls_config.h" &&
            cmake_build "$2" -DENABLE_TESTING=OFF -DENABLE_PROGRAMS=OFF -DGEN_FILES=OFF -DMBEDTLS_FATAL_WARNINGS=OFF \
                -DUSE_SHARED_MBEDTLS_LIBRARY=OFF -DUSE_STATIC_MBEDTLS_LIBRARY=ON || return 1
        ;;
    libmbedtls-dev)
        take_package "$2" libmbedtls.a libmbedx509.a libmbedcrypto.a -- mbedtls psa || return 1
        # Parts that the library may or may not have been built with.
        for extra in libeverest.a libp256m.a; do take_package "$2" "$extra" -- >/dev/null || :; done
        ;;
    esac
    need_version mbedTLS "$(header_number "$out/include/mbedtls/build_info.h" MBEDTLS_VERSION_STRING)" 3.6
}

# ---- the routes ----

# build_from NAME KIND PACKAGE VERSION ARCHIVE: unpack, build aside, check that it links, put in place by one rename
build_from() {
    local log
    out=$work/new-$1
    rm -rf "$out"
    mkdir -p "$out"
    log=$work/build-$1.log
    if ! { unpack "$2" "$5" "$work/tree" && "make_$1" "$3" "$work/tree" "$4" && links "$1"; } >"$log" 2>&1; then
        warn "$3 $4 does not make a usable $1; the end of the log:"
        tail -n 15 "$log" | sed 's/^/    /' >&2
        return 1
    fi
    library_key "$1" >"$out/.key"
    echo "$3 $4" >"$out/.from"
    rm -rf "$work/tree" "$work/old-$1"
    if [ -e "$top/$1" ]; then mv "$top/$1" "$work/old-$1"; fi
    mv "$out" "$top/$1"
    rm -rf "$work/old-$1"
    say "$1: from $3 $4 ($2)"
    [ ! -e "$top/$1/lib/lib$1.so" ] || say "$1: a shared library; where the program is to run, install it as a package as well"
}

links() { # NAME: a program that calls the library
    local body libraries extra
    case $1 in
    libuv) body='#include <uv.h>
        int main(void) { uv_loop_t l; return uv_loop_init(&l) || uv_loop_close(&l); }' libraries="-luv_a -lpthread -ldl -lrt" ;;
    llhttp) body='#include <llhttp.h>
        int main(void) { llhttp_settings_t s; llhttp_settings_init(&s); return 0; }' libraries=-lllhttp ;;
    wslay) body='#include <stddef.h>
        #include <wslay/wslay.h>
        int main(void) { wslay_frame_context_free(NULL); return 0; }' libraries=-lwslay ;;
    mbedtls) body='#include <mbedtls/ssl.h>
        int main(void) { mbedtls_ssl_context c; mbedtls_ssl_init(&c); mbedtls_ssl_free(&c); return 0; }'
        libraries="-lmbedtls -lmbedx509 -lmbedcrypto"
        for extra in everest p256m; do [ ! -e "$out/lib/lib$extra.a" ] || libraries="$libraries -l$extra"; done ;;
    esac
    printf '%s\n' "$body" >"$work/links.c"
    # shellcheck disable=SC2086
    "$cc" -I"$out/include" "$work/links.c" -o "$work/links" -L"$out/lib" $libraries -lpthread &&
        LD_LIBRARY_PATH=$out/lib "$work/links"
}

locked() { # NAME: the archives of the lock file, in its order
    local name kind suite package version sha256 kept is
    grep "^$1[[:space:]]" "$lock_file" >"$work/locked" || return 1
    while read -r name kind suite package version sha256 <&3; do
        kept=$archives/$sha256
        if skipped "$package" "$version"; then
            warn "$package $version: skipped as UPGATE_DEPS_SKIP asks"
            continue
        fi
        if ! { [ -e "$kept" ] && [ "$(sha256sum <"$kept")" = "$sha256  -" ]; }; then
            suite_ready "$kind" "$suite" || continue
            download "$kind" "$package" "$version" "$work/get" || continue
            is=$(sha256sum <"$file" | cut -d' ' -f1)
            if [ "$is" != "$sha256" ]; then
                warn "$package $version is not the archive that was tested, its SHA-256 is $is: not used"
                continue
            fi
            mkdir -p "$archives"
            mv "$file" "$kept.new"
            mv "$kept.new" "$kept"
        fi
        ! build_from "$name" "$kind" "$package" "$version" "$kept" || return 0
    done 3<"$work/locked"
    return 1
}

newest() { # NAME KIND PACKAGE MINIMUM [SUITES]: the newest version that can be had and built
    local suite version
    for suite in ${5:-$all_suites}; do suite_ready "$2" "$suite" || :; done
    for version in $(versions "$2" "$3" "$4"); do
        grep -q "^$1  *$2  *[a-z]*  *$3  *$version " "$lock_file" && continue # had its turn
        download "$2" "$3" "$version" "$work/get" && build_from "$1" "$2" "$3" "$version" "$file" && return 0
    done
    return 1
}

get() { # NAME
    mkdir -p "$work"
    locked "$1" && return 0
    say "$1: no archive of the lock file can be used; looking for others"
    case $1 in
    libuv) newest libuv source libuv1 1.44 || newest libuv deb libuv1-dev 1.44 "$own_suite" ;;
    llhttp) newest llhttp deb libllhttp-source 9.2 || newest llhttp source nghttp2 1.60 || newest llhttp deb libllhttp-dev 9.2 ;;
    wslay) newest wslay source wslay 1.1.1 || newest wslay source aria2 1.36 || newest wslay deb libwslay-dev 1.1.1 ;;
    mbedtls) newest mbedtls source mbedtls 3.6 || newest mbedtls deb libmbedtls-dev 3.6 ;;
    esac
}

# ---- the run ----

main() {
    local name tool todo='' failed=''
    for name in libuv llhttp wslay mbedtls; do
        if installed "$name"; then
            say "$name: the installed $found is new enough"
            rm -rf "${top:?}/$name"
        elif [ "$(cat "$top/$name/.key" 2>/dev/null)" != "$(library_key "$name")" ]; then
            todo="$todo $name"
        fi
    done
    [ -n "$todo" ] || { rm -rf "$work"; return 0; }
    for tool in "$cc" ar cmake; do
        command -v "$tool" >/dev/null || die "$tool is missing: it is needed to build$todo"
    done
    rm -rf "$work"
    for name in $todo; do
        get "$name" || failed="$failed $name"
    done
    [ -z "$failed" ] || die "no route led to:$failed (minimum versions: libuv 1.44, llhttp 9.2, wslay 1.1.1, mbedTLS 3.6)." \
        "Where this system has the -dev packages of these libraries, installing them is the other way."
    rm -rf "$work"
}

exec 9>"$top/.lock"
flock -n 9 || { say "another run is at work in $top; waiting for it"; flock -w 1800 9 || die "waited long enough"; }
main
