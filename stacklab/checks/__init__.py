"""Checks of a running lab's nodes, and their reports."""
