"""`lab.check`: prove what the spec promises, and explain what failed."""
