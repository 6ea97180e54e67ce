"""Rules for a lab's file beyond the form of each value: what has to go together."""
