"""Probes of what nodes that are containers need of this host, and of what they can't be."""
