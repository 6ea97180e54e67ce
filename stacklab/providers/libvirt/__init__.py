"""Nodes as libvirt domains, made by Vagrant."""
