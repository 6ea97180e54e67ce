"""Which probes run when: the fast ones before a lab starts, all of them for `doctor`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from stacklab.doctor import programs, resources, subnets
from stacklab.doctor.machine import Machine
from stacklab.doctor.result import ProbeArea, ProbeResult, ProbeStatus
from stacklab.errors import LabError
from stacklab.model.lab import Lab
from stacklab.paths import HostPaths
from stacklab.process import Command

Connect = Callable[[], str | None]  # None: libvirtd answers; else what it, or its socket, said

_IP_LIMIT_S = 5


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
    """Run what `lab.up` has to know before it makes anything; no program but `ip` is started.

    `others` are the labs on record, `starting` the nodes that do not run yet.
    """
    return (
        *programs.missing(machine, builds_image=builds_image),
        resources.probe_root(host, machine),
        resources.probe_libvirt(connect(), machine),
        resources.probe_memory(lab, machine, starting=starting),
        resources.probe_disk(lab, host, machine),
        *_subnets(lab, machine, others),
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

    `accelerator` is the verdict and its reason; `sources` maps where images come from to what is wrong with it.
    """
    return (
        *programs.probe_all(machine),
        resources.probe_root(host, machine),
        resources.probe_libvirt(connect(), machine),
        resources.probe_accelerator(*accelerator),
        *((resources.probe_memory(lab, machine, starting=starting),) if lab else ()),
        resources.probe_disk(lab, host, machine),
        *_subnets(lab, machine, others),
        *resources.probe_sources(sources or {}),
    )


def _subnets(lab: Lab | None, machine: Machine, others: Iterable[Lab]) -> tuple[ProbeResult, ...]:
    try:
        addresses = _ip(machine, "addr")
        routes = _ip(machine, "-4", "route", "show", "table", "all")
    except LabError as error:
        sentence = f"which addresses this host uses cannot be read: {error.message}"
        fix = "sudo apt-get install iproute2"
        return (
            ProbeResult(
                name="networks",
                area=ProbeArea.HOST,
                status=ProbeStatus.WARNING,
                sentence=sentence,
                fix=fix,
            ),
        )
    claims = (*subnets.parse_addresses(addresses), *subnets.parse_routes(routes))
    nested = subnets.probe_nested(claims)
    own = subnets.probe_networks(lab, claims, subnets.parse_links(addresses), others) if lab else ()
    return (*own, *((nested,) if nested else ()))


def _ip(machine: Machine, *words: str) -> str:
    program = machine.which("ip") or "ip"
    command = Command(
        argv=(program, "-json", *words), what="reading this host's addresses", timeout_s=_IP_LIMIT_S
    )
    return machine.runner.run(command).stdout
