"""What is done with nodes that have booted: waiting, clocks, impairments."""
