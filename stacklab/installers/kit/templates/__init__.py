"""Templates of answer files, and what keeps a value from breaking out of them."""
