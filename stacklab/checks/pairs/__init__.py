"""Each node reaches each other on every network they share."""
