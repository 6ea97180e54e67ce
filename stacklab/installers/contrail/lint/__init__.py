"""Rules for the localrc of contrail-installer."""
