"""How host and node know each other and talk."""
