"""OpenStack from Debian's own packages: the image holds them, a node takes configuration only."""
