# Tab completion of ./invoke and invoke for bash: source <(./invoke completion bash)

_stacklab_complete() {
    local current=${COMP_WORDS[COMP_CWORD]} candidates
    # A TAB must neither install what is missing nor print an error into the line.
    candidates=$(STACKLAB_NO_INSTALL=1 "${COMP_WORDS[0]/#\~/$HOME}" --complete -- \
        "${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null </dev/null)
    [[ $current == "=" ]] && current=""
    mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$current")
}

# The name without a path counts for ./invoke and /path/to/invoke, too. Where nothing fits, the
# names of files are completed.
complete -o default -F _stacklab_complete invoke inv
