"""Snapshots of whole labs: made, restored, listed and deleted."""
