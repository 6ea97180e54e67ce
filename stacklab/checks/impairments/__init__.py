"""Declared delay, loss and rate: the checks, and the patience that they call for."""
