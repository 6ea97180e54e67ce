"""One folder per installer: its answer files, its steps, its lint."""
