"""Make host and node know each other, and let them talk."""
