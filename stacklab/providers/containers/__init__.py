"""Nodes as containers: systemd-nspawn over a read-only root, on libvirt's networks."""
