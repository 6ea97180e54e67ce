"""Wrap libvirt-python: what labs need of domains, networks and the pool.

One connection may be shared by threads, but five long calls fill it: workers that
wait (shutdown) poll instead of blocking. Source: facts/libraries.md 4.

Every call has a bound: see stacklab.tools.libvirt.connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import libvirt

from stacklab.errors import NotOurs, ProviderError
from stacklab.model.host_network import Lease
from stacklab.model.state import NodeState
from stacklab.tools.libvirt import hosts as libvirt_hosts
from stacklab.tools.libvirt import nics as libvirt_nics
from stacklab.tools.libvirt import xml as libvirt_xml
from stacklab.tools.libvirt.connection import LOOK_S, WORK_S, Connection, within
from stacklab.tools.libvirt.states import read_reason, read_state

_T = TypeVar("_T")


class Libvirt(Connection):
    """A connection to the system's libvirtd; raises ProviderError, with what to type next."""

    # What a domain leaves besides its disks. A field of the class, because libvirt's test driver
    # does not know all of these flags.
    undefine_flags = (
        libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    )

    # --- the host

    @within(LOOK_S)
    def capabilities(self) -> str:
        """Return what QEMU and this host's processor can do, in libvirt's XML."""
        with libvirt_errors("reading what this host can do"):
            return str(self._connection.getCapabilities())

    # --- domains

    @within(LOOK_S)
    def state(self, uuid: str) -> NodeState:
        """Return the state of the domain of that UUID."""
        doing = f"reading the state of {uuid}"
        return self._ask_domain(uuid, read_state, doing=doing, if_absent=NodeState.ABSENT)

    @within(LOOK_S)
    def why_in_state(self, uuid: str) -> str:
        """Return libvirt's reason for a state (`user`, `ioerror`); "" if it adds nothing."""
        doing = f"reading the state of {uuid}"
        return self._ask_domain(uuid, read_reason, doing=doing, if_absent="")

    @within(LOOK_S)
    def domain_xml(self, uuid: str) -> str:
        """Return a domain as it runs, in libvirt's XML; "" when it is absent."""
        doing = f"reading the domain {uuid}"
        return self._ask_domain(uuid, _read_xml, doing=doing, if_absent="")

    @within(LOOK_S)
    def refuse_foreign_domain(self, name: str, uuid: str) -> None:
        """Raise NotOurs when the name is taken by a domain with another UUID."""
        try:
            domain = self._connection.lookupByName(name)
        except libvirt.libvirtError:
            return
        actual = domain.UUIDString()
        if actual != uuid:
            raise NotOurs(
                f"a domain called {name} exists and is not this lab's (UUID {actual})",
                hint=f"look at it: virsh dominfo {name}; "
                f"if it may go: virsh destroy {name}; virsh undefine {name}",
            )

    @within(WORK_S)
    def resume(self, uuid: str) -> None:
        """Let a paused domain run on."""
        self._change_domain(uuid, lambda domain: domain.resume(), doing="resuming {}")

    @within(WORK_S)
    def shut_down(self, uuid: str) -> None:
        """Press the power button; returns before the domain is off."""

        def press_button(domain: Any) -> None:
            if domain.isActive():
                domain.shutdown()

        self._change_domain(uuid, press_button, doing="shutting {} down", absent_ok=True)

    @within(WORK_S)
    def reset(self, uuid: str) -> None:
        """Press the reset button of a running domain."""
        self._change_domain(uuid, lambda domain: domain.reset(), doing="resetting {}")

    @within(WORK_S)
    def power_off(self, uuid: str) -> None:
        """Pull the plug; being off already is success."""
        self._change_domain(uuid, _pull_plug, doing=_POWERING_OFF, absent_ok=True)

    @within(WORK_S)
    def remove_domain(self, uuid: str, name: str) -> None:
        """Power off and undefine the domain that has this UUID and this name; absent is success."""
        domain = self._find_domain(uuid)
        if domain is None:
            return
        if domain.name() != name:
            raise NotOurs(
                f"domain {uuid} is called {domain.name()}, not {name} as recorded: left alone",
                hint=f"if it is the lab's, name it back: virsh domrename {domain.name()} {name}",
            )
        with libvirt_errors(_POWERING_OFF.format(name), absent_ok=True):
            _pull_plug(domain)
        with libvirt_errors(f"removing {name}", absent_ok=True):
            if domain.isPersistent():
                domain.undefineFlags(self.undefine_flags)

    @within(LOOK_S)
    def interfaces(self, uuid: str) -> tuple[tuple[str, str, str], ...]:
        """Return a domain's NICs: (MAC, network, tap); none when it is absent."""
        xml = self._ask_domain(uuid, _read_xml, doing=f"reading the NICs of {uuid}", if_absent="")
        return libvirt_xml.interfaces(xml) if xml else ()

    @within(WORK_S)
    def add_nic(self, uuid: str, nic: libvirt_nics.NewNic) -> None:
        """Add a NIC to a domain for good, also while it runs; one that is there is success."""
        self._change_domain(
            uuid, lambda domain: libvirt_nics.add(domain, nic), doing="adding a NIC to {}"
        )

    # --- faults: they change what runs, never what is defined, so a power-off undoes them

    @within(WORK_S)
    def pause(self, uuid: str) -> None:
        """Pause a running domain."""
        self._change_domain(uuid, lambda domain: domain.suspend(), doing="pausing {}")

    @within(WORK_S)
    def start(self, uuid: str) -> None:
        """Power a domain on, as it is defined; running already is success."""

        def press_button(domain: Any) -> None:
            if not domain.isActive():
                domain.create()

        self._change_domain(uuid, press_button, doing="starting {}")

    @within(WORK_S)
    def update_nic(self, uuid: str, xml: str) -> None:
        """Plug the cable of a running domain's NIC in or out."""
        self._change_domain(
            uuid,
            lambda domain: domain.updateDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE),
            doing="changing a NIC of {}",
        )

    @within(WORK_S)
    def unplug(self, uuid: str, xml: str) -> None:
        """Ask a running domain to let go of a NIC; returns before it has."""
        self._change_domain(
            uuid,
            lambda domain: domain.detachDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE),
            doing="unplugging a NIC of {}",
        )

    @within(WORK_S)
    def plug(self, uuid: str, xml: str) -> None:
        """Plug a NIC into a running domain."""
        self._change_domain(
            uuid,
            lambda domain: domain.attachDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE),
            doing="plugging a NIC into {}",
        )

    # --- networks

    @within(WORK_S)
    def ensure_network(self, name: str, uuid: str, xml: str) -> None:
        """Define and start a network; one that runs is given the XML's names and leases.

        Raises NotOurs when the name is somebody else's.
        """
        libvirt_network = self._find_network(name)
        if libvirt_network is not None and libvirt_network.UUIDString() != uuid:
            raise NotOurs(
                f"a libvirt network called {name} exists and is not this lab's",
                hint=_look_at_network(name),
            )
        with libvirt_errors(f"making network {name}"):
            if libvirt_network is not None and libvirt_network.isActive():
                libvirt_hosts.update(libvirt_network, xml)
                return
            # What is off takes the definition of today whole.
            self._connection.networkDefineXML(xml).create()

    @within(WORK_S)
    def remove_network(self, name: str, uuid: str) -> None:
        """Stop and undefine the network of that name and UUID; absent is success."""
        libvirt_network = self._find_network(name)
        if libvirt_network is None:
            return
        if libvirt_network.UUIDString() != uuid:
            raise NotOurs(
                f"network {name} has UUID {libvirt_network.UUIDString()}, "
                f"not {uuid} as recorded: left alone",
                hint=_look_at_network(name),
            )
        with libvirt_errors(f"removing network {name}", absent_ok=True):
            if libvirt_network.isActive():
                libvirt_network.destroy()
            if libvirt_network.isPersistent():
                libvirt_network.undefine()

    @within(LOOK_S)
    def leases(self, network: str) -> tuple[Lease, ...]:
        """Return the addresses that a network has given out; none when it is absent."""
        libvirt_network = self._find_network(network)
        if libvirt_network is None:
            return ()
        with libvirt_errors(f"reading the leases of {network}", absent_ok=True):
            # A network that is stopped has no leases, and libvirt calls the question an error.
            leases = libvirt_network.DHCPLeases() if libvirt_network.isActive() else ()
            return tuple(map(_read_lease, leases))
        return ()

    # --- the pool

    @within(WORK_S)
    def ensure_pool(self, name: str, directory: Path) -> None:
        """Make sure that a pool of that name runs on that directory."""
        try:
            pool = self._connection.storagePoolLookupByName(name)
        except libvirt.libvirtError:
            pool = None  # if anything else is wrong, making it will say so
        with libvirt_errors(f"making pool {name}"):
            if pool is None:
                self._connection.storagePoolCreateXML(libvirt_xml.pool(name, directory))
                return
            if libvirt_xml.pool_path(pool.XMLDesc()) != directory:
                raise NotOurs(
                    f"a libvirt pool called {name} exists, on another directory than {directory}",
                    hint=f"virsh pool-dumpxml {name}",
                )
            if not pool.isActive():
                pool.create()
            # Vagrant looks disks up by name, and libvirtd does not know those made since its last
            # look at the directory.
            pool.refresh()

    @within(WORK_S)
    def remove_pool(self, name: str, directory: Path | None = None) -> None:
        """Forget the pool, never its files; one on another directory is left alone."""
        try:
            pool = self._connection.storagePoolLookupByName(name)
        except libvirt.libvirtError:
            return
        with libvirt_errors(f"removing pool {name}", absent_ok=True):
            if directory is not None and libvirt_xml.pool_path(pool.XMLDesc()) != directory:
                return
            is_persistent = pool.isPersistent()  # first: a transient pool ends with destroy()
            if pool.isActive():
                pool.destroy()
            if is_persistent:
                pool.undefine()

    def _ask_domain(self, uuid: str, read: Callable[[Any], _T], *, doing: str, if_absent: _T) -> _T:
        """Return what `read` makes of a domain; one that goes away meanwhile is absent, too."""
        domain = self._find_domain(uuid)
        if domain is not None:
            with libvirt_errors(doing, absent_ok=True):
                return read(domain)
        return if_absent

    def _change_domain(
        self, uuid: str, change: Callable[[Any], object], *, doing: str, absent_ok: bool = False
    ) -> None:
        """Change a domain, if there is one; `{}` in `doing` is its name."""
        domain = self._find_domain(uuid)
        if domain is None:
            return
        with libvirt_errors(doing.format(domain.name()), absent_ok=absent_ok):
            change(domain)

    def _find_domain(self, uuid: str) -> Any | None:
        try:
            return self._connection.lookupByUUIDString(uuid)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise ProviderError(f"libvirtd: {error}", hint="./invoke doctor") from error

    def _find_network(self, name: str) -> Any | None:
        try:
            return self._connection.networkLookupByName(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_NETWORK:
                return None
            raise ProviderError(f"libvirtd: {error}", hint="./invoke doctor") from error


_POWERING_OFF = "powering {} off"
_GONE = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_NETWORK, libvirt.VIR_ERR_NO_STORAGE_POOL)


def _look_at_network(name: str) -> str:
    return (
        f"look at it: virsh net-dumpxml {name}; "
        f"if it may go: virsh net-destroy {name}; virsh net-undefine {name}"
    )


@contextmanager
def libvirt_errors(doing: str, *, absent_ok: bool = False) -> Iterator[None]:
    """Turn libvirt's error into ours; with `absent_ok`, a thing that is gone by now is fine."""
    try:
        yield
    except libvirt.libvirtError as error:
        # OPERATION_INVALID: it is off by now, where only something that runs could be changed.
        is_gone = error.get_error_code() in (*_GONE, libvirt.VIR_ERR_OPERATION_INVALID)
        if absent_ok and is_gone:
            return
        raise ProviderError(f"{doing}: libvirt says: {error}", hint="./invoke doctor") from error


def _read_lease(lease: Mapping[str, Any]) -> Lease:
    return Lease(
        mac=lease["mac"],
        address=lease["ipaddr"],
        hostname=lease.get("hostname") or "",  # None if the node did not send one
    )


def _read_xml(domain: Any) -> str:
    return str(domain.XMLDesc())


def _pull_plug(domain: Any) -> None:
    if domain.isActive():
        domain.destroy()
