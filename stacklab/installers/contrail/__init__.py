"""contrail-installer and its DevStack."""
