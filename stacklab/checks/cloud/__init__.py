"""Checks of a stack's services and of what the cloud does."""
