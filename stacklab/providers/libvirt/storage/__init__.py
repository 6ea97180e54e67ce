"""Disks of VMs: those that a node starts from, those beside them, and those that are frozen."""
