"""Ask all nodes at once, again where it may help, and have their answers judged."""
