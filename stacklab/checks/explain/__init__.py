"""The search for the causes of failed checks: one more look at the nodes and from the host."""
