"""A fake installer: what a new one needs, and nothing else. See tests/shims/test_kits.py."""
