"""Resolving of a LabSpec: a Lab in which every default is filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from stacklab.model.checks import CheckPolicy, CustomCheck, CustomKind
from stacklab.model.lab import (
    NIC,
    Lab,
    Network,
    NetworkMode,
    Node,
    NodeKind,
    Size,
    needs_privilege,
    stable_hex,
)
from stacklab.model.release import Release
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
from stacklab.spec.defaults import (
    DEFAULT_MEMORY,
    Member,
    default_network,
    impairment,
    kind_of,
    members,
    wanted_address,
)
from stacklab.spec.form.checks import ChecksSpec, CustomSpec
from stacklab.spec.form.schema import LabSpec, NetworkSpec, NodeSpec
from stacklab.spec.form.stack import (
    GlanceSpec,
    MirrorsSpec,
    OvercommitSpec,
    PluginSpec,
    ProxySpec,
    SecretSpec,
    StackSpec,
)
from stacklab.spec.mistakes import SpecMistake
from stacklab.spec.rules.checks import check_custom, nodes_of
from stacklab.spec.rules.context import RuleContext
from stacklab.spec.rules.disks import check_disks, resolve_disks
from stacklab.spec.rules.secrets import post_config_options
from stacklab.spec.rules.stack import check_stack
from stacklab.spec.rules.stack_memory import check_memory_of_services
from stacklab.spec.rules.stack_release import chosen_release
from stacklab.spec.rules.whole import check

# The base image is that large.
DEFAULT_DISK = Size.parse("48GiB")
DEFAULT_MTU = 1500
DEFAULT_TRIES = 3
# Neither can be 0 in a spec, see fields.py.
DEFAULT_BOOT_S = 300.0
DEFAULT_TRY_S = 10.0


def resolve(
    spec: LabSpec, context: RuleContext, source: Path
) -> tuple[Lab | None, list[SpecMistake]]:
    """Return the Lab, or None and what is wrong; None also if a part of the spec was left out."""
    nodes = members(spec)
    ranges = {name: network.cidr for name, network in spec.networks.items()}
    addresses, address_findings = assign(_address_slots(nodes), ranges)
    # All rules run, whatever one of them finds: the user wants to see every mistake at once.
    findings = [
        *check(spec, context),
        *check_stack(spec, context),
        *check_memory_of_services(spec, context),
        *check_custom(spec, context),
        *check_disks(spec, is_whole=context.is_whole),
        *address_findings,
    ]
    if findings or not context.is_whole:
        return None, findings
    networks = {
        name: _resolve_network(context.name, name, network)
        for name, network in spec.networks.items()
    }
    mac_of = macs(context.name, addresses)
    stack = _resolve_stack(spec.stack or StackSpec(), spec)
    lab = Lab(
        name=context.name,
        description=spec.description or "",
        source=source,
        images=spec.image,
        networks=tuple(networks.values()),
        nodes=tuple(
            _resolve_node(member, spec, stack, networks, addresses, mac_of) for member in nodes
        ),
        stack=stack,
        checks=_resolve_checks(spec.checks or ChecksSpec(), spec),
        checkpoints=spec.checkpoints,
    )
    return lab, []


def _address_slots(nodes: tuple[Member, ...]) -> list[Slot]:
    """Return a slot for each NIC, in the spec's order, in which addresses are given."""
    slots: list[Slot] = []
    for member in nodes:
        seen: set[str] = set()
        for index, nic in enumerate(member.spec.nics):
            if nic.network in seen:  # a second NIC on it is a finding of its own
                continue
            seen.add(nic.network)
            slots.append(
                Slot(
                    node=member.name,
                    network=nic.network,
                    path=("nodes", member.key, "nics", index),
                    wanted=wanted_address(member, nic.address),
                )
            )
    return slots


def bridge_name(lab: str, network: str) -> str:
    """Return the name of the bridge that is made for a lab's network, from these two alone."""
    # 13 characters, of which the kernel takes 15, and unlike those of any other lab.
    return "sl-" + stable_hex(lab, network, digits=10)


def _resolve_network(lab: str, name: str, spec: NetworkSpec) -> Network:
    of_host = {NetworkMode.BRIDGED: spec.bridge, NetworkMode.MACVTAP: spec.device}
    return Network(
        name=name,
        cidr=spec.cidr,
        mode=spec.mode,
        mtu=spec.mtu or DEFAULT_MTU,
        bridge=of_host.get(spec.mode) or bridge_name(lab, name),
        # Not written is true. By macvtap neither the host nor its VMs hear each other.
        has_host=spec.host is not False and spec.mode is not NetworkMode.MACVTAP,
        opens_host=bool(spec.host_services),
    )


def _resolve_node(
    member: Member,
    spec: LabSpec,
    stack: Stack,
    networks: Mapping[str, Network],
    addresses: Mapping[tuple[str, str], IPv4Address],
    mac_of: Mapping[tuple[str, str], str],
) -> Node:
    nics: list[NIC] = []
    for index, nic in enumerate(member.spec.nics):
        network = networks[nic.network]
        end = (member.name, nic.network)
        nics.append(
            NIC(
                network=network.name,
                device=f"eth{index}",
                address=IPv4Interface((addresses[end], network.cidr.prefixlen)),
                mac=mac_of[end],
                mtu=network.mtu,
                impairment=impairment(nic, spec.networks[nic.network]),
            )
        )
    kind = kind_of(member.spec, spec)
    return Node(
        name=member.name,
        role=member.spec.role or Role.NODE,
        cpus=member.spec.cpus or 1,
        memory=member.spec.memory or DEFAULT_MEMORY,
        disk=member.spec.disk or DEFAULT_DISK,
        nics=tuple(nics),
        disks=resolve_disks(member.spec),
        kind=kind,
        is_privileged=kind is NodeKind.VM or _is_privileged(member.spec, spec, stack),
    )


def _is_privileged(node: NodeSpec, spec: LabSpec, stack: Stack) -> bool:
    if node.privileged is not None:
        return node.privileged
    if spec.privileged is not None:
        return spec.privileged
    return needs_privilege(stack)


def _resolve_stack(spec: StackSpec, lab: LabSpec) -> Stack:
    network = spec.network or default_network(lab)
    installer = spec.installer or NO_INSTALLER
    stack = Stack(installer=installer, network=network)
    if installer is NO_INSTALLER:
        return stack
    stack = _with_release(stack, spec, chosen_release(spec))
    stack = _with_networks(stack, spec)
    stack = _with_settings(stack, spec)
    return _with_sources(stack, spec)


def _with_release(stack: Stack, spec: StackSpec, release: Release) -> Stack:
    """Add what depends on the release: its defaults are the first ones of its lists."""
    # A release without a choice of drivers has libvirt, whatever the spec says.
    driver = Driver.LIBVIRT
    if release.drivers:
        driver = spec.driver or Driver(release.drivers[0])
    return replace(
        stack,
        release=release.name,
        # Only a release that is put on top of a DevStack has pairs.
        devstack_branch=release.pairs[0] if release.pairs else "",
        network_mode=spec.network_mode or NetworkingMode(release.network_modes[0]),
        driver=driver,
        kolla_mode=spec.kolla_mode or release.text("kolla_mode"),
        openstack=spec.openstack or release.text("openstack"),
    )


def _with_networks(stack: Stack, spec: StackSpec) -> Stack:
    return replace(
        stack,
        api_network=spec.api_network or stack.network,
        data_network=spec.data_network or stack.network,
        external_network=spec.external_network or "",
        fixed_range=spec.fixed_range,
        floating_range=spec.floating_range,
    )


def _with_settings(stack: Stack, spec: StackSpec) -> Stack:
    """Add the settings of the services, and lines and options that are passed on as they are."""
    return replace(
        stack,
        overcommit=_resolve_overcommit(spec.overcommit or OvercommitSpec()),
        glance=_resolve_glance(spec.glance or GlanceSpec()),
        volume_types=spec.volume_types or (),
        has_tls=bool(spec.tls),
        has_dashboard=bool(spec.dashboard),
        lines=_resolve_lines(spec),
        post_config=tuple(_post_config(spec)),
        answers=tuple((spec.answers or {}).items()),
        dev_mode=spec.dev_mode or (),
    )


def _resolve_overcommit(spec: OvercommitSpec) -> Overcommit:
    return Overcommit(cpu=spec.cpu, ram=spec.ram, disk=spec.disk)


def _resolve_glance(spec: GlanceSpec) -> Glance:
    return Glance(direct_copy=bool(spec.direct_copy), url_schemes=spec.url_schemes or ())


def _resolve_lines(spec: StackSpec) -> tuple[Lines, ...]:
    localrc = spec.localrc or {}
    return tuple(Lines(role=role, lines=lines) for role, lines in localrc.items())


def _with_sources(stack: Stack, spec: StackSpec) -> Stack:
    """Add from where the installer gets code, packages and secrets."""
    return replace(
        stack,
        plugins=_resolve_plugins(spec.plugins or {}),
        git_base=spec.git_base or "",
        refs=tuple((spec.refs or {}).items()),
        mirrors=_resolve_mirrors(spec.mirrors or MirrorsSpec()),
        proxy=_resolve_proxy(spec.proxy or ProxySpec()),
        secrets=_resolve_secrets(spec.secrets or {}),
    )


def _resolve_plugins(specs: Mapping[str, PluginSpec]) -> tuple[Plugin, ...]:
    plugins: list[Plugin] = []
    for name, spec in specs.items():
        plugins.append(Plugin(name=name, url=spec.url, ref=spec.ref or ""))
    return tuple(plugins)


def _resolve_mirrors(spec: MirrorsSpec) -> Mirrors:
    return Mirrors(pip=spec.pip or "", apt=spec.apt or "", git_from=spec.git or "")


def _resolve_proxy(spec: ProxySpec) -> Proxy:
    return Proxy(
        http=spec.http or "",
        https=spec.https or "",
        no_proxy=spec.no_proxy or (),
    )


def _resolve_secrets(specs: Mapping[str, SecretSpec]) -> tuple[SecretSource, ...]:
    sources: list[SecretSource] = []
    for name, spec in specs.items():
        sources.append(SecretSource(name=name, env=spec.env or "", file=spec.file or ""))
    return tuple(sources)


def _post_config(spec: StackSpec) -> Iterator[ConfigOption]:
    for (role, file, section, key), value in post_config_options(spec):
        yield ConfigOption(
            role=role,
            file=file,
            section=section,
            key=key,
            value=value,
        )


def _resolve_checks(spec: ChecksSpec, lab: LabSpec) -> CheckPolicy:
    return CheckPolicy(
        retries=_retries(spec.retries, DEFAULT_TRIES),
        # Not `or`: 0 is an interval, and no default.
        interval_s=2.0 if spec.interval is None else spec.interval,
        boot_timeout_s=spec.boot_timeout or DEFAULT_BOOT_S,
        custom=tuple(_resolve_custom_check(check, lab) for check in spec.custom or ()),
    )


def _retries(tries: int | None, default: int) -> int:
    """Return how often to try again: a spec counts all tries, the model those after the first."""
    return (tries or default) - 1


def _resolve_custom_check(spec: CustomSpec, lab: LabSpec) -> CustomCheck:
    return CustomCheck(
        name=spec.name,
        kind=_kind_of_check(spec),
        nodes=nodes_of(lab, spec),
        command=spec.command or "",
        exit_code=spec.exit_code or 0,
        host=spec.host or "",
        port=spec.port or 0,
        url=spec.http or "",
        http_status=spec.status or 200,
        text=spec.text or "",
        retries=_retries(spec.retries, 1),
        interval_s=1.0 if spec.interval is None else spec.interval,
        timeout_s=spec.timeout or DEFAULT_TRY_S,
        is_warning=spec.level == "warning",
    )


def _kind_of_check(spec: CustomSpec) -> CustomKind:
    if spec.command is not None:
        return CustomKind.COMMAND
    if spec.port is not None:
        return CustomKind.PORT
    return CustomKind.HTTP  # check_custom has seen to it that there is exactly one
