"""Rules for a spec's `stack`."""
