"""`bench.peers`: stacklab and other programs bring up the same three nodes; see README.md."""
