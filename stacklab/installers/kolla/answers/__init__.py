"""Renders kolla-ansible's files, and the steps that use them."""
