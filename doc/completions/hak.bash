# bash completion of hakrec, hakreplay, haksim, haktrace, hakreport and hakcompare: commands and
# options are those that the tool's own --help names, so that they cannot fall behind.

_hak_help() {
    "$@" --help 2>/dev/null </dev/null
}

# Commands of a tool.
_hak_commands() {
    _hak_help "$1" | awk -v tool="${1##*/}" '
        /^Options/ { exit }
        $1 == tool && $2 ~ /^[a-z]/ { print $2 }
        $1 != tool && /^  [a-z][a-z-]*  / { print $1 }'
}

# Options of a tool or of its command; with = where they take a value.
_hak_options() {
    _hak_help "$@" | grep -oE -- '--[a-z][a-z-]*=?' | sort -u
}

_hak_values() {
    case $2 in
        --route) "$1" --list-routes 2>/dev/null | awk '/^presets/ { on = 1; next } /^$/ { on = 0 } on { print $1 }' ;;
        --order) echo strict window dataflow ;;
        --workload) "$1" run --list-workloads 2>/dev/null | awk '/^  [a-z]+ / { print $1 }' ;;
        --memory) echo sc c11 ;;
        --geometry) echo default seed scenario ;;
        --stacks) echo full caller none ;;
        --strategy) echo recorded random portfolio pct pos urw bounded starving adversarial round-robin surw exhaustive schedule ;;
        --allocator) echo mf2 glibc jemalloc mimalloc tcmalloc tbbmalloc ;;
        --machine) echo desktop laptop server server-2s ;;
        --color) echo auto always never ;;
        *) return 1 ;;
    esac
}

_hak() {
    local tool=$1 word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} option= command= values i
    COMPREPLY=()
    # bash splits at =, so that "--route=s2" is three words
    if [ "$word" = "=" ]; then option=$before word=
    elif [ "$before" = "=" ]; then option=${COMP_WORDS[COMP_CWORD - 2]}; fi
    if [ -n "$option" ]; then
        if values=$(_hak_values "$tool" "$option"); then
            local done=
            case $word in *,*) done=${word%,*}, ;; esac
            mapfile -t COMPREPLY < <(compgen -P "$done" -W "$values" -- "${word##*,}")
        else
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
        fi
        return
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -*) ;;
            *) command=${COMP_WORDS[i]}; break ;;
        esac
    done
    if [ "${tool##*/}" = hakrec ] && [ -n "$command" ] && declare -F _command_offset >/dev/null; then
        _command_offset "$i" # the recorded program's own completion
        return
    fi
    case $word in
        -*)
            _hak_commands "$tool" | grep -qx -- "$command" || command=
            mapfile -t COMPREPLY < <(compgen -W "$(_hak_options "$tool" ${command:+"$command"})" -- "$word")
            [ "${#COMPREPLY[@]}" -eq 1 ] && [ "${COMPREPLY[0]%=}" != "${COMPREPLY[0]}" ] && compopt -o nospace 2>/dev/null
            ;;
        *)
            mapfile -t COMPREPLY < <(compgen -f -- "$word"; [ "$COMP_CWORD" -gt 1 ] || compgen -W "$(_hak_commands "$tool")" -- "$word")
            compopt -o filenames 2>/dev/null
            ;;
    esac
    return 0
}

complete -F _hak hakrec hakreplay haksim haktrace hakreport hakcompare
