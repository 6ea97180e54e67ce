"""Rules for what networks of instances are made by: OVN, neutron's agents, nova-network."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab.installers.devstack.lint import known
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.model.release import Release
from stacklab.model.stack import NetworkingMode

RULES = (
    rule(
        "devstack-ovn-agent",
        "an agent of Open vSwitch's where OVN is the backend",
        "openstack/devstack@493835a:lib/neutron_plugins/ovn_agent: ovn_sanity_check",
    ),
    # Drivers and agents are chosen by variables of their own, which must agree.
    rule(
        "devstack-mechanism",
        "Q_AGENT=openvswitch without ml2's mechanism driver",
        "openstack/devstack@493835a:lib/neutron_plugins/ml2",
    ),
    rule(
        "devstack-agent",
        "a Q_AGENT that is nearly one of DevStack's",
        "openstack/devstack@493835a:lib/neutron_plugins/ml2: ${Q_AGENT}_agent",
    ),
    rule(
        "devstack-nova-network",
        "nova-network where it is gone",
        "openstack/devstack@4b8cba77",
        is_of_age=True,
    ),
    rule(
        "devstack-two-networks",
        "nova-network and neutron at once",
        "openstack/devstack@mitaka-eol:stackrc",
    ),
)
_BOOK = Book(RULES)
_NEUTRON = ("neutron", "q-svc", "q-agt", "q-dhcp", "q-l3", "q-meta", "neutron-api")
# lib/neutron_plugins/*_agent of some release; plugins may bring others.
_Q_AGENTS = ("linuxbridge", "macvtap", "ofagent", "openvswitch", "ovn")
_NEARLY = 0.85
_AGENTS = ("q-agt", "neutron-agent", "q-l3", "neutron-l3")  # each under its old and new name


# OVN as a plugin, until Victoria's DevStack had it itself. The first one that refuses q-l3 whatever
# OVN_L3_MODE says is Pike's: openstack/networking-ovn@pike-eol:devstack/lib/networking-ovn.
_OVN_PLUGIN = "networking-ovn"
_FIRST_WITH_OVN = "victoria"
_FIRST_WITHOUT_L3_AGENT = "pike"


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    release = rc.scope.release
    yield from _check_agent(rc)
    if _OVN_PLUGIN in rc.plugins and known.is_surely_before(release, _FIRST_WITH_OVN):
        yield from _check_l3_of_plugin(rc, release)
    else:
        yield from _find_ovn_agents(rc)
    if release is not None and release.network_modes[0] == "ovn":
        yield from _check_mechanism(rc)
    # Where nova-network is gone, n-net starts nothing, and neutron alone makes networks.
    if rc.may_use_nova_network:
        yield from _check_two_networks(rc)
    elif release is not None:
        yield from _check_nova_network(rc, release)


def _check_agent(rc: Localrc) -> Iterator[Finding]:
    """Yield a Q_AGENT that is nearly a known one: DevStack finds no file of that name."""
    agent = rc.value("Q_AGENT")
    nearest = Near(_Q_AGENTS, cutoff=_NEARLY)
    if not agent or agent in _Q_AGENTS or not nearest(agent.lower()):
        return
    yield _BOOK.finding(
        "devstack-agent",
        rc.file,
        rc.line("Q_AGENT"),
        effect=f"neutron's agent is neither configured nor started: there is no file "
        f"lib/neutron_plugins/{agent}_agent",
        fix=f"Q_AGENT={nearest(agent.lower())}",
    )


def _find_ovn_agents(rc: Localrc) -> Iterator[Finding]:
    """Yield agents that OVN replaces, and that stack.sh refuses beside it."""
    if not rc.is_ovn:
        return
    cause = ", the default backend" if _is_ovn_by_default(rc) else ""
    agents = list(rc.services.find(*_AGENTS))
    if not agents:
        return
    # One for all of them: they are written, and replaced, together.
    (first, line), *others = sorted(agents, key=lambda agent: agent[1])
    names = " and ".join([first, *(_with_line(name, at, line) for name, at in others)])
    fix = (
        "write ovn-controller,ovs-vswitchd,ovsdb-server instead, or Q_AGENT=openvswitch "
        "and Q_ML2_PLUGIN_MECHANISM_DRIVERS=openvswitch on every node"
    )
    if _OVN_PLUGIN in rc.plugins:  # OVN is what the file asks for
        fix = f"disable_service {' '.join([first, *(name for name, _line in others)])}"
    yield _BOOK.finding(
        "devstack-ovn-agent",
        rc.file,
        line,
        effect=f"stack.sh stops: {names} must be disabled with OVN{cause}",
        fix=fix,
    )


def _check_l3_of_plugin(rc: Localrc, release: Release | None) -> Iterator[Finding]:
    """Yield the agent that networking-ovn's plugin refuses; its older ones wanted it."""
    if not rc.is_ovn or known.is_surely_before(release, _FIRST_WITHOUT_L3_AGENT):
        return
    for name, line in rc.services.find("q-l3"):
        yield _BOOK.finding(
            "devstack-ovn-agent",
            rc.file,
            line,
            effect=f"stack.sh stops: {_OVN_PLUGIN} refuses {name} since Pike",
            fix=f"disable_service {name}",
        )


def _with_line(name: str, line: int, first_line: int) -> str:
    """Return a name, with its line if that is not the finding's own."""
    return name if line == first_line else f"{name} (line {line})"


def _is_ovn_by_default(rc: Localrc) -> bool:
    """Return True if OVN is the backend, though the file does not ask for it."""
    if rc.is_any_set("Q_AGENT", "Q_ML2_PLUGIN_MECHANISM_DRIVERS"):
        return False
    return not rc.services.has("ovn-controller")


def _check_mechanism(rc: Localrc) -> Iterator[Finding]:
    """Yield a mechanism driver that stays ovn, its default since Xena, beside another Q_AGENT."""
    agent = rc.value("Q_AGENT")
    # A compute runs the agent alone: neutron-server, which binds ports, is the controller's.
    if rc.is_compute or agent not in ("openvswitch", "linuxbridge"):
        return
    name = "Q_ML2_PLUGIN_MECHANISM_DRIVERS"
    is_ml2 = rc.value("Q_PLUGIN") in ("", "ml2")  # ml2 is the default
    # A post-config section is written over the file that DevStack has made.
    is_told = rc.is_set(name) or "mechanism_drivers" in rc.overridden
    if not is_ml2 or is_told or rc.value("Q_DVR_MODE"):
        return
    yield _BOOK.finding(
        "devstack-mechanism",
        rc.file,
        rc.line("Q_AGENT"),
        effect=f"neutron binds no ports of {agent}'s agents: ml2's mechanism driver "
        "stays ovn, the default",
        fix=f"{name}={agent}",
    )


def _check_nova_network(rc: Localrc, release: Release) -> Iterator[Finding]:
    """Yield n-net for a release without nova-network."""
    for name, line in rc.services.find("n-net"):
        yield _BOOK.finding(
            "devstack-nova-network",
            rc.file,
            line,
            effect=f"DevStack {release.name} does not know nova-network: it starts nothing for "
            f"{name}, and instances do not get a network",
            fix=f"remove {name}: neutron, by {release.network_modes[0]}, is the default",
        )


def _check_two_networks(rc: Localrc) -> Iterator[Finding]:
    """Yield n-net beside neutron, whether the file or the release's own list enables it."""
    is_enabled_here = rc.services.has("n-net")
    if not rc.services.has(*_NEUTRON):
        return
    if not is_enabled_here and not _has_nova_network_by_default(rc):
        return
    if "n-net" in rc.value("DISABLED_SERVICES").split(","):
        return  # that line is told, and meant to disable it
    cause = "" if is_enabled_here else " (n-net is in the release's default list)"
    fix = "disable_service n-net"
    if rc.services.is_whole:
        fix = "leave one of them in ENABLED_SERVICES"
    yield _BOOK.finding(
        "devstack-two-networks",
        rc.file,
        rc.services.line("n-net") or rc.services.line(*_NEUTRON),
        effect=f"nova-network and neutron are both enabled{cause}, and each makes its own bridges "
        "and rules",
        fix=fix,
    )


def _has_nova_network_by_default(rc: Localrc) -> bool:
    """Return True if stackrc's own list enables n-net, and the file leaves it there."""
    release = rc.scope.release
    if release is None or rc.services.is_whole:
        return False
    first_mode = NetworkingMode(release.network_modes[0])  # stackrc's list is made for this one
    return first_mode.is_nova_network and "n-net" not in rc.services.disabled
