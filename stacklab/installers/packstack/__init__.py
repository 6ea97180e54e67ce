"""Packstack."""
