"""Make and run nodes: the contract, and libvirt by Vagrant."""
