"""What makes and runs nodes: the contract, and libvirt by Vagrant."""
