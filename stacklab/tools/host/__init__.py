"""This machine, as its own commands, devices and settings describe it."""
