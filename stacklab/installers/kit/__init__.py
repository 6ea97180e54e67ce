"""Helpers that installers share: templates, quoting, masking, writing, git, addresses."""
