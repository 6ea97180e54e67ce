# Tab completion of ./invoke and invoke for fish: ./invoke completion fish | source

function __stacklab_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    set -l program (string replace --regex '^~' $HOME -- $words[1])
    # A TAB must neither install what is missing nor print an error into the line.
    set -l candidates (STACKLAB_NO_INSTALL=1 $program --complete -- $words "$current" 2>/dev/null </dev/null)
    # Where there is nothing to say, the names of files are completed.
    if test (count $candidates) -gt 0
        printf '%s\n' $candidates
    else
        __fish_complete_path "$current"
    end
end

# The name without a path counts for ./invoke and /path/to/invoke, too.
complete --command invoke --no-files --arguments '(__stacklab_complete)'
complete --command inv --no-files --arguments '(__stacklab_complete)'
