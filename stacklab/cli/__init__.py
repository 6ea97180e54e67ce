"""The tasks of `./invoke`, by group; nothing else but tasks.py imports invoke."""
