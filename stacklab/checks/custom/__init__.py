"""Checks that the author of a spec adds: a command, a port, a page."""
