"""Renders Packstack's answer file, and the steps that use it."""
