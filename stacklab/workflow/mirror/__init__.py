"""The mirror of git: what fills it, and who serves it to a lab's nodes."""
