"""Ground of all tasks: what they add to invoke, and a session on this host."""
