"""Rules for what the debian kit places on nodes."""
