"""qemu-img: its command lines, and its JSON read. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from stacklab.model.lab import Size
from stacklab.process import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskInfo:
    """What `qemu-img info` tells of a disk; sizes in bytes."""

    format: str
    virtual_bytes: int
    backing: Path | None


def overlay(path: Path, base: Path, size: Size) -> Command:
    """Make a copy-on-write disk on a base image: milliseconds, some 200 KiB."""
    # -F: without it qemu-img 6.1 and later refuse; guessing it let a guest name host files.
    argv = (
        "qemu-img",
        "create",
        "-q",
        "-f",
        "qcow2",
        "-F",
        "qcow2",
        "-b",
        str(base),
        str(path),
        f"{size.mib}M",
    )
    return Command(argv=argv, what=f"making overlay {path.name}")


def convert(source: Path, target: Path) -> Command:
    """Write `source`, whatever its format, as a qcow2 of its own."""
    argv = ("qemu-img", "convert", "-O", "qcow2", str(source), str(target))
    return Command(argv=argv, what=f"converting {source.name} to qcow2")


def resize(path: Path, size: Size) -> Command:
    """Give a qcow2 a larger virtual size; the file grows by nothing."""
    return Command(
        argv=("qemu-img", "resize", "-q", str(path), f"{size.mib}M"), what=f"resizing {path.name}"
    )


def info(path: Path) -> Command:
    """Ask for a disk's format, size and backing file; works while a domain uses it."""
    argv = ("qemu-img", "info", "--force-share", "--output=json", str(path))
    return Command(argv=argv, what=f"reading {path.name}")


def parse_info(text: str) -> DiskInfo:
    """Read `qemu-img info --output=json`."""
    data = json.loads(text)
    backing = data.get("full-backing-filename") or data.get("backing-filename")
    return DiskInfo(
        format=data["format"],
        virtual_bytes=data["virtual-size"],
        backing=Path(backing) if backing else None,
    )
