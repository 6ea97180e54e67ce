# Tab completion of ./invoke and invoke for zsh: source <(./invoke completion zsh)

_stacklab_complete() {
    local -a candidates
    # A TAB must neither install what is missing nor print an error into the line.
    candidates=("${(@f)$(STACKLAB_NO_INSTALL=1 ${~words[1]} --complete -- \
        "${(@)words[1,CURRENT]}" 2>/dev/null </dev/null)}")
    candidates=(${candidates:#})
    # Where there is nothing to say, the names of files are completed.
    if (( $#candidates )); then
        compadd -a candidates
    else
        _files
    fi
}

# The name without a path counts for ./invoke and /path/to/invoke, too.
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _stacklab_complete invoke inv
