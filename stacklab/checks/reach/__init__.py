"""Checks of reach: outside the lab, between its networks, and from the host."""
