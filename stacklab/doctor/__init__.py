"""Probes of the host: every assumption that stacklab makes, as a sentence with its fix."""
