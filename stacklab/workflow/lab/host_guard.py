"""Close this host's own services to the nodes of a lab, and forget the lab when it is gone.

Without it a node reaches whatever listens on the host, by any of the host's addresses. Other labs
are closed to it by libvirt, whose networks let no packet pass that their own nodes did not ask for.

A file in the lab's directory says whether the host is closed: see `why_open`.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address

from stacklab import files
from stacklab.checks.host import package_mirrors
from stacklab.checks.reach import outside
from stacklab.errors import ProviderError, ToolError
from stacklab.installers.kit.git import served_at, served_directory
from stacklab.installers.kit.ways import place_of
from stacklab.model.lab import Lab
from stacklab.model.stack import Mirrors
from stacklab.paths import LabPaths
from stacklab.process.command import Command, as_root
from stacklab.tools import bounded
from stacklab.tools.host import git_daemon
from stacklab.tools.host.mirrors import host_mirrors
from stacklab.tools.network import iptables
from stacklab.tools.network.iptables import HostPort
from stacklab.workflow.context import Context

_LIMIT_S = 30.0
_NAMES_S = 3.0  # for all names together
_CLOSED = "closed"
_SAY_SO = "host_services: true on its networks says that it may be"


def close(context: Context, lab: Lab, paths: LabPaths) -> None:
    """Refuse what the lab's nodes send to this host, but for what a lab needs of it.

    May be called while nodes run, and again. Where it can't be done a note says why, the lab comes
    up all the same, and its checks `host-services` have a warning.
    """
    bridges = [network.bridge for network in lab.networks if network.keeps_host_closed]
    hiding = [network.bridge for network in lab.networks if network.hides_host]
    if not bridges and not hiding:  # it may have had some
        forget(context, paths)
        return
    places = places_on_host(context, lab)
    # Before it is done: whoever destroys the lab has to look.
    files.write(paths.host_guard, f"{_CLOSED}\n")
    try:
        rules = iptables.close(
            lab.name, bridges=bridges, hiding=hiding, places=places, listing=_look(context)
        )
        _apply(context, rules)
    except ToolError as error:
        why = error.message.splitlines()[0]
        files.write(paths.host_guard, f"{why}\n")
        context.progress.note(
            "host", f"what listens on this host is open to the lab's nodes: {why}; {_SAY_SO}"
        )


def why_open(paths: LabPaths) -> str:
    """Return why the host could not be closed to the lab; "" where it is, or nobody tried."""
    try:
        text = paths.host_guard.read_text(errors="replace").strip()
    except OSError:
        return ""
    return "" if text == _CLOSED else text


def forget(context: Context, paths: LabPaths) -> None:
    """Remove the lab's rules; there may be none. Raises ProviderError where some may be left."""
    lab = paths.name
    is_closed = paths.host_guard.exists() and not why_open(paths)
    try:
        listing = _look(context)
        if iptables.has_chain(lab, listing):
            _apply(context, iptables.remove(lab, listing))
    except ToolError as error:
        # Who never could close it has nothing to remove.
        if not is_closed:
            return
        chain = iptables.chain_of(lab)
        raise ProviderError(
            f"the rules of lab {lab} may still be in this host's firewall: {error.message}",
            hint=f"sudo iptables -S {chain} shows them; ./invoke lab.destroy {lab} again, as root",
        ) from error
    paths.host_guard.unlink(missing_ok=True)


def _look(context: Context) -> str:
    command = Command(
        argv=as_root(iptables.LOOK), what="looking at this host's firewall", timeout_s=_LIMIT_S
    )
    return context.runner.run(command).stdout


def _apply(context: Context, rules: str) -> None:
    command = Command(
        argv=as_root(iptables.APPLY),
        what="changing this host's firewall",
        stdin=rules.encode(),
        timeout_s=_LIMIT_S,
    )
    context.runner.run(command)


# --- what a lab needs of its host


def places_on_host(context: Context, lab: Lab) -> tuple[HostPort, ...]:
    """Return the mirrors and proxies of a lab that this host itself serves."""
    wanted = _wanted_places(lab, host_mirrors(context.runner))
    names_and_ports: list[tuple[str, str]] = []
    for place in wanted:
        name, _, port = place.rpartition(":")
        names_and_ports.append((name, port))
    known = _look_up(context, dict.fromkeys(name for name, _ in names_and_ports))
    # The host has these as soon as the lab's networks are there.
    own = {network.host_address for network in lab.networks if network.is_made_by_us}
    found: dict[HostPort, None] = {}  # a set that keeps its order
    for name, port in names_and_ports:
        if not port.isdecimal():
            continue
        for address in known.get(name, ()):
            if address in own or _is_of_this_host(address):
                found[HostPort(address=address, port=int(port))] = None
    return tuple(found)


def _wanted_places(lab: Lab, mirrors: Mirrors) -> tuple[str, ...]:
    """Return NAME:PORT of all that the nodes may connect to; git:// goes by no proxy."""
    stack = lab.stack
    urls = (
        stack.proxy.http,
        stack.proxy.https,
        stack.mirrors.apt,
        stack.mirrors.pip,
        stack.mirrors.git_from,
        stack.git_base,
        mirrors.pip,
        *(mirror for mirror, _replaced in mirrors.git),
    )
    wanted = [*outside.host_needs(lab, mirrors).places, *map(place_of, urls), *package_mirrors()]
    if served_directory(lab):
        wanted.append(f"{served_at(lab)}:{git_daemon.PORT}")
    return tuple(dict.fromkeys(filter(None, wanted)))


def _look_up(context: Context, names: Iterable[str]) -> Mapping[str, tuple[IPv4Address, ...]]:
    """Return the addresses of these names; a note tells which were not known in time."""
    known: dict[str, tuple[IPv4Address, ...]] = {}

    def look_up(name: str) -> None:
        try:
            infos = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
            known[name] = tuple(IPv4Address(info[4][0]) for info in infos)
        except (OSError, UnicodeError):
            known[name] = ()

    look_ups = [functools.partial(look_up, name) for name in names]
    try:
        bounded.call(lambda: bounded.together(look_ups), limit_s=_NAMES_S, name="look up mirrors")
    except bounded.OverLimit:
        late = ", ".join(name for name in names if name not in known)
        context.progress.note(
            "host",
            f"no name server tells within {_NAMES_S:.0f} s who {late} is: if it is this host, the "
            "lab's nodes can't reach it",
        )
    return dict(known)


def _is_of_this_host(address: IPv4Address) -> bool:
    """Return True if this host has that address: the kernel binds to no other."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
