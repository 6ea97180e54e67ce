"""Configuration files, units and stages of OpenStack from Debian's packages."""
