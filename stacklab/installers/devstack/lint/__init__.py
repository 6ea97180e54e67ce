"""What DevStack makes of a localrc or a local.conf."""
