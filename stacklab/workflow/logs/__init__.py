"""`lab.logs`: collect what this host and the nodes know."""
