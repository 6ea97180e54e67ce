"""A check run as a web page."""
