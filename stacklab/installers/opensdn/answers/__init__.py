"""Renders tf-ansible-deployer's instances.yaml, and the steps that use it."""
