# bash completion for upgate. Installed as share/bash-completion/completions/upgate.
_upgate() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words

    if [ "${COMP_WORDS[1]}" = fcgi ] && [ "$COMP_CWORD" -gt 1 ]; then
        case $previous in
        --root) mapfile -t COMPREPLY < <(compgen -d -- "$current") && return ;;
        -o | --output) mapfile -t COMPREPLY < <(compgen -f -- "$current") && return ;;
        -X | --request) words="GET HEAD POST PUT DELETE OPTIONS PATCH" ;;
        -H | --header | -d | --data | -F | --form | --script | --split | --index | --param | --timeout | -m | --max-time) return ;;
        *) words="-X --request -H --header -I --head -d --data -F --form --no-length --root --script --split --index --param -i --include
                  -v --verbose -o --output -f --fail --get-values --timeout -m --max-time -h --help" ;;
        esac
    else
        case $previous in
        -c) mapfile -t COMPREPLY < <(compgen -f -- "$current") && return ;;
        --listen | --to) return ;;
        *) words="-c -t -T --listen --to --schema --reference --man -V --version -h --help" ;;
        esac
        [ "$COMP_CWORD" -eq 1 ] && words="fcgi sticky-key $words"
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o filenames -F _upgate upgate
