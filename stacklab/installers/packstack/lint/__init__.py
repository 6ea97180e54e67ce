"""What Packstack makes of an answer file."""
