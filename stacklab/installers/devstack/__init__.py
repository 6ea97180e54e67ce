"""DevStack."""
