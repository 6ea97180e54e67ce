"""Readers of what people write: any file, bash, and YAML as Ansible takes it."""
