"""Stages: what an installer does on the nodes, as values that can be shown, ordered and checked."""
