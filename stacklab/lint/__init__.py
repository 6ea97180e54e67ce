"""What every linter is built from: readers of shell and YAML, rules, findings, the scope of a file."""
