"""What installers share: the template environment, quoting, masking, writing."""
