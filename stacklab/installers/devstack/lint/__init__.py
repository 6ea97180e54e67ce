"""Rules for the localrc and the local.conf of DevStack."""
