"""Renders fake.conf, and lists the stages that use it."""
