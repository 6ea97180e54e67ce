"""Renders localrc and local.conf for DevStack, and lists the stages that use them."""
