# install.sh: to be sourced. need_packages PACKAGE... makes sure that Debian packages are there.
#
# What is there already costs nothing. What is missing is installed with apt, as root or through a sudo that asks
# nothing; apt's sources are used as they are. Where that can't be, the message says what to type.

# The program whose presence will do as well as the package's: not all come from the distribution.
_package_program() {
    case $1 in
    cmake | npm | curl | chromium | openssl | clang | gcc | git) echo "$1" ;;
    nodejs) echo node ;;
    ninja-build) echo ninja ;;
    pkg-config) echo pkg-config ;;
    golang-go) echo go ;;
    esac
}

_package_present() {
    local program
    program=$(_package_program "$1")
    if [ -n "$program" ] && command -v "$program" >/dev/null 2>&1; then
        return 0
    fi
    # shellcheck disable=SC2016  # dpkg-query's own placeholder
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

_packages_known() { # apt's lists have a candidate for each
    local package
    for package; do
        apt-cache policy "$package" 2>/dev/null | grep -q '^ *Candidate: [^(]' || return 1
    done
}

# need_packages PACKAGE...: 0 when all are there at the end
need_packages() {
    local package missing='' become='' apt
    for package; do
        _package_present "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "Missing, by Debian's names:$missing. There is no apt-get here: please install them by hand." >&2
        return 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        if sudo -n true 2>/dev/null; then
            become=sudo
        else
            echo "Missing packages:$missing. Only root can install them:" >&2
            echo "    sudo apt-get install --no-install-recommends$missing" >&2
            return 1
        fi
    fi
    echo "Installing$missing"
    apt="timeout 1800 $become env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -qq -y"
    # The lists may be absent, or older than what the mirror holds: fetch them only then.
    # shellcheck disable=SC2086
    if _packages_known $missing && $apt install --no-install-recommends $missing </dev/null >/dev/null 2>&1; then
        return 0
    fi
    # shellcheck disable=SC2086
    if $apt update </dev/null && $apt install --no-install-recommends $missing </dev/null >/dev/null; then
        return 0
    fi
    echo "Could not install:$missing (apt's messages are above)" >&2
    return 1
}
