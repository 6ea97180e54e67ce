"""Rules for networks in localrc: addresses, ranges, devices, and what networks are made by."""
