"""LabSpec -> Lab: every default filled in, once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from stacklab.model.checks import CheckPolicy, CustomCheck, CustomKind
from stacklab.model.lab import NIC, Lab, Network, NetworkMode, Node, Size, stable_hex
from stacklab.model.stack import (
    NO_INSTALLER,
    ConfigOption,
    Driver,
    Glance,
    Lines,
    Mirrors,
    NetworkingMode,
    Overcommit,
    Plugin,
    Proxy,
    Role,
    SecretSource,
    Stack,
)
from stacklab.spec.addresses import Slot, assign, macs
from stacklab.spec.check_rules import check_custom, nodes_of
from stacklab.spec.checks import ChecksSpec, CustomSpec
from stacklab.spec.rules import (
    DEFAULT_MEMORY,
    Context,
    Member,
    check,
    default_network,
    impairment,
    members,
    wanted_address,
)
from stacklab.spec.schema import LabSpec, NetworkSpec
from stacklab.spec.source import Finding
from stacklab.spec.stack import GlanceSpec, MirrorsSpec, OvercommitSpec, ProxySpec, StackSpec
from stacklab.spec.stack_rules import check_stack, chosen_release

DEFAULT_DISK = Size.parse("48GiB")
DEFAULT_MTU = 1500
DEFAULT_TRIES = 3


def resolve(spec: LabSpec, context: Context, source: Path) -> tuple[Lab | None, list[Finding]]:
    """Make the Lab; None when there are findings, or when something was left out of the spec."""
    nodes = members(spec)
    findings = [*check(spec, context), *check_stack(spec, context), *check_custom(spec, context)]
    addresses, refused = assign(
        _slots(nodes), {name: network.cidr for name, network in spec.networks.items()}
    )
    findings += refused
    if findings or not context.is_whole:
        return None, findings
    networks = {
        name: _network(context.name, name, network) for name, network in spec.networks.items()
    }
    hardware = macs(context.name, addresses)
    return (
        Lab(
            name=context.name,
            description=spec.description or "",
            source=source,
            images=spec.image,
            networks=tuple(networks.values()),
            nodes=tuple(_node(member, spec, networks, addresses, hardware) for member in nodes),
            stack=_stack(spec.stack or StackSpec(), spec),
            checks=_checks(spec.checks or ChecksSpec(), spec),
        ),
        [],
    )


def _slots(nodes: tuple[Member, ...]) -> list[Slot]:
    slots: list[Slot] = []
    for member in nodes:
        seen: set[str] = set()
        for index, nic in enumerate(member.spec.nics):
            if nic.network not in seen:  # a second NIC on one network is reported as just that
                path = ("nodes", member.key, "nics", index)
                slots.append(
                    Slot(member.name, nic.network, path, wanted_address(member, nic.address))
                )
            seen.add(nic.network)
    return slots


def _network(lab: str, name: str, spec: NetworkSpec) -> Network:
    own = "sl-" + stable_hex(lab, name, digits=10)
    return Network(
        name=name,
        cidr=spec.cidr,
        mode=spec.mode,
        mtu=spec.mtu or DEFAULT_MTU,
        bridge=spec.bridge if spec.mode is NetworkMode.BRIDGED and spec.bridge else own,
        has_host=spec.host is not False,
    )


def _node(
    member: Member,
    spec: LabSpec,
    networks: Mapping[str, Network],
    addresses: Mapping[tuple[str, str], IPv4Address],
    hardware: Mapping[tuple[str, str], str],
) -> Node:
    nics: list[NIC] = []
    for index, nic in enumerate(member.spec.nics):
        network, end = networks[nic.network], (member.name, nic.network)
        nics.append(
            NIC(
                network=network.name,
                device=f"eth{index}",
                address=IPv4Interface((addresses[end], network.cidr.prefixlen)),
                mac=hardware[end],
                mtu=network.mtu,
                impairment=impairment(nic, spec.networks[nic.network]),
            )
        )
    return Node(
        name=member.name,
        role=member.spec.role or Role.NODE,
        cpus=member.spec.cpus or 1,
        memory=member.spec.memory or DEFAULT_MEMORY,
        disk=member.spec.disk or DEFAULT_DISK,
        nics=tuple(nics),
    )


def _stack(spec: StackSpec, lab: LabSpec) -> Stack:
    installer = spec.installer or NO_INSTALLER
    network = spec.network or default_network(lab)
    if installer is NO_INSTALLER:
        return Stack(installer=installer, network=network)
    release = chosen_release(spec)
    return Stack(
        installer=installer,
        network=network,
        api_network=spec.api_network or network,
        data_network=spec.data_network or network,
        external_network=spec.external_network or "",
        release=release.name,
        devstack_branch=release.pairs[0] if release.pairs else "",
        network_mode=spec.network_mode or NetworkingMode(release.network_modes[0]),
        driver=spec.driver or Driver(release.drivers[0]) if release.drivers else Driver.LIBVIRT,
        fixed_range=spec.fixed_range,
        floating_range=spec.floating_range,
        overcommit=_overcommit(spec.overcommit or OvercommitSpec()),
        glance=_glance(spec.glance or GlanceSpec()),
        volume_types=spec.volume_types or (),
        plugins=tuple(
            Plugin(name=n, url=p.url, ref=p.ref or "") for n, p in (spec.plugins or {}).items()
        ),
        git_base=spec.git_base or "",
        refs=tuple((spec.refs or {}).items()),
        lines=tuple(Lines(role=role, lines=lines) for role, lines in (spec.localrc or {}).items()),
        post_config=tuple(_post_config(spec)),
        answers=tuple((spec.answers or {}).items()),
        mirrors=_mirrors(spec.mirrors or MirrorsSpec()),
        proxy=_proxy(spec.proxy or ProxySpec()),
        secrets=tuple(
            SecretSource(name=n, env=s.env or "", file=s.file or "")
            for n, s in (spec.secrets or {}).items()
        ),
        dev_mode=spec.dev_mode or (),
        kolla_mode=spec.kolla_mode or release.text("kolla_mode"),
        openstack=spec.openstack or release.text("openstack"),
    )


def _post_config(spec: StackSpec) -> Iterator[ConfigOption]:
    for role, files in (spec.post_config or {}).items():
        for file, sections in files.items():
            for section, options in sections.items():
                for key, value in options.items():
                    yield ConfigOption(role=role, file=file, section=section, key=key, value=value)


def _overcommit(spec: OvercommitSpec) -> Overcommit:
    return Overcommit(cpu=spec.cpu, ram=spec.ram, disk=spec.disk)


def _glance(spec: GlanceSpec) -> Glance:
    return Glance(direct_copy=bool(spec.direct_copy), url_schemes=spec.url_schemes or ())


def _mirrors(spec: MirrorsSpec) -> Mirrors:
    return Mirrors(pip=spec.pip or "", apt=spec.apt or "")


def _proxy(spec: ProxySpec) -> Proxy:
    return Proxy(http=spec.http or "", https=spec.https or "", no_proxy=spec.no_proxy or ())


def _checks(spec: ChecksSpec, lab: LabSpec) -> CheckPolicy:
    return CheckPolicy(
        retries=_after_the_first(spec.retries, DEFAULT_TRIES),
        interval_s=2.0 if spec.interval is None else spec.interval,
        boot_timeout_s=300.0 if spec.boot_timeout is None else spec.boot_timeout,
        custom=tuple(_custom(check, lab) for check in spec.custom or ()),
    )


def _after_the_first(tries: int | None, default: int) -> int:
    """A spec counts tries, the model those after the first."""
    return (tries or default) - 1


def _custom(spec: CustomSpec, lab: LabSpec) -> CustomCheck:
    kinds = (
        (CustomKind.COMMAND, spec.command),
        (CustomKind.PORT, spec.port),
        (CustomKind.HTTP, spec.http),
    )
    return CustomCheck(
        name=spec.name,
        kind=next(kind for kind, value in kinds if value is not None),
        nodes=nodes_of(lab, spec),
        command=spec.command or "",
        exit_code=spec.exit_code or 0,
        host=spec.host or "",
        port=spec.port or 0,
        url=spec.http or "",
        http_status=spec.status or 200,
        text=spec.text or "",
        retries=_after_the_first(spec.retries, 1),
        interval_s=1.0 if spec.interval is None else spec.interval,
        timeout_s=10.0 if spec.timeout is None else spec.timeout,
        is_warning=spec.level == "warning",
    )
