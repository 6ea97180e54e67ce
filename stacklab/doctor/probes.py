"""The two sets of probes: the fast ones before a lab starts, and all of them for `doctor`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from stacklab import settings
from stacklab.doctor import programs, resources, subnets
from stacklab.doctor.containers import probes as containers
from stacklab.doctor.machine import Machine
from stacklab.doctor.result import ProbeArea, ProbeResult, ProbeStatus
from stacklab.errors import HostError, LabError
from stacklab.model.lab import Lab
from stacklab.paths import HostPaths
from stacklab.process.command import Command

Connect = Callable[[], str | None]  # returns None if libvirtd answers, else the error

_IP_LIMIT_S = 5  # it only reads from the kernel


def preflight(
    lab: Lab,
    host: HostPaths,
    machine: Machine,
    *,
    connect: Connect,
    others: Iterable[Lab] = (),
    starting: Collection[str] | None = None,
    builds_image: bool = True,
) -> tuple[ProbeResult, ...]:
    """Run the probes that `lab.up` needs before it makes anything.

    The only program run is `ip`; for containers also those that try what root may do here.
    `others` are the labs on record, `starting` the nodes that do not run yet.
    """
    others = tuple(others)
    return (
        *programs.missing(machine, builds_image=builds_image),
        *containers.preflight(lab, host, machine, others),
        resources.probe_root(host, machine, lab),
        resources.probe_libvirt(connect(), machine),
        probe_memory(lab, host, machine, others, starting=starting),
        resources.probe_disk(lab, host, machine),
        *probe_subnets(lab, machine, others),
    )


def full(
    lab: Lab | None,
    host: HostPaths,
    machine: Machine,
    *,
    connect: Connect,
    accelerator: tuple[str, str] = ("kvm", ""),
    others: Iterable[Lab] = (),
    starting: Collection[str] | None = None,
    sources: Mapping[str, str | None] | None = None,
) -> tuple[ProbeResult, ...]:
    """Run every probe.

    `accelerator` is the verdict and its reason; `sources` maps a source of images to its problem,
    or to None if it can be reached.
    """
    others = tuple(others)
    memory = (probe_memory(lab, host, machine, others, starting=starting),) if lab else ()
    return (
        *programs.probe_all(machine),
        resources.probe_root(host, machine, lab),
        resources.probe_libvirt(connect(), machine),
        resources.probe_accelerator(*accelerator),
        *memory,
        resources.probe_disk(lab, host, machine),
        *probe_subnets(lab, machine, others),
        *containers.full(lab, host, machine, others),
        *resources.probe_sources(sources or {}),
    )


def probe_memory(
    lab: Lab,
    host: HostPaths,
    machine: Machine,
    others: Collection[Lab] = (),
    *,
    starting: Collection[str] | None = None,
) -> ProbeResult:
    """Probe if nodes fit into the memory, as far as the settings of this host allow."""
    return resources.probe_memory(
        lab,
        machine,
        host=host,
        starting=starting,
        others=others,
        overcommit=settings.read(host).memory_overcommit,
    )


def probe_subnets(
    lab: Lab | None, machine: Machine, others: Iterable[Lab]
) -> tuple[ProbeResult, ...]:
    """Probe the networks of a lab, if there is one, and those of this host."""
    try:
        claims, links = host_networks(machine)
    except LabError as error:
        unknown = ProbeResult(
            name="networks",
            area=ProbeArea.HOST,
            status=ProbeStatus.WARNING,
            sentence=error.message,
            fix=error.hint or "",
        )
        return (unknown,)
    results: list[ProbeResult] = []
    if lab:
        results += subnets.probe_networks(lab, claims, links, others)
    nested = subnets.probe_nested(claims)
    if nested:
        results.append(nested)
    return tuple(results)


def host_networks(machine: Machine) -> tuple[tuple[subnets.SubnetClaim, ...], frozenset[str]]:
    """Return the ranges that this host uses, and the names of its interfaces.

    Raises HostError where they can't be read.
    """
    try:
        addresses = _run_ip(machine, "addr")
        # All tables: a VPN keeps its routes in one of its own.
        routes = _run_ip(machine, "-4", "route", "show", "table", "all")
    except LabError as error:
        raise HostError(
            f"the addresses of this host cannot be read: {error.message}",
            hint="sudo apt-get install iproute2",
        ) from error
    claims = (*subnets.parse_addresses(addresses), *subnets.parse_routes(routes))
    return claims, subnets.parse_links(addresses)


def _run_ip(machine: Machine, *words: str) -> str:
    program = machine.which("ip") or "ip"
    command = Command(
        argv=(program, "-json", *words),
        what="reading this host's addresses",
        timeout_s=_IP_LIMIT_S,
    )
    return machine.runner.run(command).stdout
