"""The order of steps: what a task does, from the lab to its result."""
