"""Use the cloud on a lab: its client, and the proof that it works."""
