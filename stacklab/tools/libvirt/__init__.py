"""libvirt: its daemon, connections whose calls have bounds, its XML and its save files."""
