"""Names of releases, as branches, tags and images have them."""

from __future__ import annotations


def operating_system(image: str) -> str:
    """Return the operating system of a catalogue's image: debian-12 for debian-12-cloud."""
    return image.removesuffix("-cloud")


def plain_name(name: str) -> str:
    """Return the release that a branch or tag is of: mitaka for stable/mitaka and mitaka-eol."""
    for prefix in ("stable/", "unmaintained/"):
        name = name.removeprefix(prefix)
    for suffix in ("-eol", "-eom"):
        name = name.removesuffix(suffix)
    return name
