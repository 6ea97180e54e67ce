"""Each node is as declared."""
