"""Command lines of qemu-img, and a parser of its JSON. Pure: nothing is run here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from stacklab.model.lab import Size
from stacklab.process.command import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskInfo:
    """A disk as `qemu-img info` describes it."""

    format: str
    virtual_bytes: int
    backing: Path | None
    data_file: str | None = None

    @property
    def is_standalone_qcow2(self) -> bool:
        """Return True if its content is in no other file, which a guest could have chosen."""
        return self.format == "qcow2" and self.backing is None and self.data_file is None


def empty(path: Path, size: Size, *, disk_format: str) -> Command:
    """Make an empty disk, which takes no room on the host yet: qcow2 or raw."""
    argv = ("qemu-img", "create", "-q", "-f", disk_format, str(path), f"{size.mib}M")
    return Command(argv=argv, what=f"making the disk {path.name}")


def overlay(path: Path, base: Path, size: Size | None = None) -> Command:
    """Make a copy-on-write disk on a base image: it takes milliseconds and some 200 KiB.

    Without a size it is as large as its base.
    """
    # -F: QEMU must not guess the base's format. A guest that writes a qcow2 header to a raw disk
    # could name a file of the host as its backing file. qemu-img 6.1 and later insist on -F.
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
        *((f"{size.mib}M",) if size else ()),
    )
    return Command(argv=argv, what=f"making overlay {path.name}")


def convert(source: Path, target: Path) -> Command:
    """Copy a raw disk to a standalone qcow2."""
    # -f: a raw disk whose content looks like another format must not be opened as that.
    argv = ("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(source), str(target))
    return Command(argv=argv, what=f"converting {source.name} to qcow2")


def convert_to_raw(source: Path, target: Path) -> Command:
    """Copy a qcow2 of ours to a sparse raw disk."""
    argv = ("qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(source), str(target))
    return Command(argv=argv, what=f"making a raw disk of {source.name}")


def resize(path: Path, size: Size) -> Command:
    """Give a qcow2 a larger virtual size; the file itself does not grow."""
    return Command(
        argv=("qemu-img", "resize", "-q", str(path), f"{size.mib}M"), what=f"resizing {path.name}"
    )


def rebase(path: Path, base: Path) -> Command:
    """Have a qcow2 lie on a base of the same content that is elsewhere; no data is read."""
    argv = ("qemu-img", "rebase", "-q", "-u", "-f", "qcow2", "-F", "qcow2")
    return Command(argv=(*argv, "-b", str(base), str(path)), what=f"putting {path.name} on {base}")


def info(path: Path) -> Command:
    """Describe a qcow2, also one that a domain uses; any other format is an error."""
    # -f: a raw disk whose content looks like another format must not be opened as that.
    argv = ("qemu-img", "info", "--force-share", "-f", "qcow2", "--output=json", str(path))
    return Command(argv=argv, what=f"reading {path.name}")


def parse_info(text: str) -> DiskInfo:
    """Parse `qemu-img info --output=json`."""
    data = json.loads(text)
    backing = data.get("full-backing-filename") or data.get("backing-filename")
    # Of qcow2 only: where the content is, if it is in another file.
    specific = data.get("format-specific", {}).get("data", {})
    return DiskInfo(
        format=data["format"],
        virtual_bytes=data["virtual-size"],
        backing=Path(backing) if backing else None,
        data_file=specific.get("data-file"),
    )
