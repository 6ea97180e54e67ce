"""Rules for localrc and local.conf, one module per subject."""
