"""One rule for fake.conf."""
