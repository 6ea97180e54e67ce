"""Debuggers, traces, messages, source and tests of a cloud, for people and as JSON."""
