"""What a failed check's cause is: one more look at the nodes and from the host."""
