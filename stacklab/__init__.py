"""Throw-away multi-node labs for people who hack on OpenStack and SDN."""
