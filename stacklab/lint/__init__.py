"""Parts of every linter: readers of shell and YAML, rules, findings, a file's scope."""
