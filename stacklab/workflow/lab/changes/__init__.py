"""A lab follows its spec: what changed since it was brought up, what that costs, and doing it."""
