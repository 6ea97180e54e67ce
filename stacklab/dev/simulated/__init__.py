"""Nodes that answer the check protocol without being there."""
