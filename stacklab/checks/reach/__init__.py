"""What must be reached outside, what must not, and what the host itself can reach."""
