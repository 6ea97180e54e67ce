"""Work on nodes that have booted: wait for them, set their clocks, impair their NICs."""
