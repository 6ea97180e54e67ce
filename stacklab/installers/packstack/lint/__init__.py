"""Rules for Packstack's answer file."""
