"""This machine, as its own commands and settings describe it."""
