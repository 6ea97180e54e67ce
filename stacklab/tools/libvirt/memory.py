"""A domain's memory in a file, for snapshots: by libvirt's save and restore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import libvirt

from stacklab.tools.libvirt import xml as libvirt_xml
from stacklab.tools.libvirt.connection import LOOK_S, WORK_S, within
from stacklab.tools.libvirt.domains import Libvirt, libvirt_errors

# A node's memory is written and read at the disk's speed.
_SAVE_S = 900.0


class LibvirtMemory(Libvirt):
    """A connection to libvirtd that can also write a domain's memory, and read it again."""

    @within(WORK_S)
    def used_memory(self, uuid: str) -> int:
        """Return how many bytes of this host's memory a running domain takes; 0 if it is off."""
        doing = f"reading the memory of {uuid}"
        return self._ask_domain(uuid, _read_used_memory, doing=doing, if_absent=0)

    @within(_SAVE_S)
    def save_memory(self, uuid: str, path: Path) -> None:
        """Write a paused domain's memory into a file, and end the domain."""
        flags = libvirt.VIR_DOMAIN_SAVE_PAUSED
        self._change_domain(
            uuid,
            lambda domain: domain.saveFlags(str(path), None, flags),
            doing="writing the memory of {}",
        )

    @within(_SAVE_S)
    def restore_memory(self, name: str, path: Path, xml: str) -> None:
        """Start the domain of that definition, paused, with the memory of a file.

        What it starts is described by the XML in that file, which libvirt wrote when it saved.
        """
        secure = libvirt.VIR_DOMAIN_SAVE_IMAGE_XML_SECURE
        with libvirt_errors(f"reading the memory of {name}"):
            self._connection.defineXML(xml)
            saved = self._connection.saveImageGetXMLDesc(str(path), secure)
            started = libvirt_xml.without_backing_stores(saved)
            self._connection.restoreFlags(str(path), started, libvirt.VIR_DOMAIN_SAVE_PAUSED)

    @within(LOOK_S)
    def is_at_work(self, uuid: str) -> bool:
        """Return True while libvirt writes a domain's memory, also for a client that is gone."""
        doing = f"reading what {uuid} does"
        return self._ask_domain(uuid, _has_job, doing=doing, if_absent=False)

    @within(LOOK_S)
    def definition(self, uuid: str) -> str:
        """Return a domain as it is defined, to be defined again; "" when it is absent."""
        doing = f"reading the domain {uuid}"
        return self._ask_domain(uuid, _read_definition, doing=doing, if_absent="")

    @within(LOOK_S)
    def qemu_version(self) -> str:
        """Return QEMU's version."""
        with libvirt_errors("reading QEMU's version"):
            number = self._connection.getVersion()
        return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def _read_definition(domain: Any) -> str:
    flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
    return str(domain.XMLDesc(flags))


def _read_used_memory(domain: Any) -> int:
    if not domain.isActive():
        return 0
    return int(domain.memoryStats()["rss"]) * 1024


def _has_job(domain: Any) -> bool:
    return bool(domain.isActive()) and domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE
