"""Bundles: a snapshot as one file, which another host may take."""
