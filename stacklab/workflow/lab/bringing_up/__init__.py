"""One run of `lab.up`: what is looked at before, its steps, and what its nodes run by."""
