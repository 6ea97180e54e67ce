"""Programs that run in other venvs than stacklab's: they import nothing of it."""
