"""Prove that a cloud works: a VM on each compute, which ping and log in to each other."""
