"""Masking of secrets in texts for people, in whatever form they stand there."""
