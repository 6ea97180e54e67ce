"""Rules for DevStack's services, and what a compute must not be without."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint import shell
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.model.release import Release
from stacklab.model.stack import NetworkingMode

_COMMON = "openstack/devstack@493835a:functions-common"
_DATABASE = "openstack/devstack@493835a:lib/database: initialize_database_backends"
RULES = (
    rule(
        "devstack-services-wiped",
        "ENABLED_SERVICES below enable_service",
        "openstack/devstack@493835a:stackrc",
    ),
    rule(
        "devstack-enable-after-disable",
        "enable_service of what was disabled",
        f"{_COMMON}: enable_service",
    ),
    rule(
        "devstack-service-list",
        "a list of services with the wrong separator",
        f"{_COMMON}: is_service_enabled",
    ),
    rule(
        "devstack-ovn-agent",
        "an agent of Open vSwitch's where OVN is the backend",
        "openstack/devstack@493835a:lib/neutron_plugins/ovn_agent: ovn_sanity_check",
    ),
    rule(
        "devstack-mechanism",
        "Q_AGENT=openvswitch without ml2's mechanism driver",
        "openstack/devstack@493835a:lib/neutron_plugins/ml2",
    ),
    warning(
        "devstack-replaced-service",
        "a service that another one has replaced",
        "localrc/releases.yaml: replaced",
    ),
    rule("devstack-nova-network", "nova-network where it is gone", "openstack/devstack@4b8cba77"),
    rule(
        "devstack-two-networks",
        "nova-network and neutron at once",
        "openstack/devstack@mitaka-eol:stackrc",
    ),
    rule(
        "devstack-compute-services",
        "a compute that installs a whole cloud",
        "openstack/devstack@493835a:stackrc",
    ),
    warning(
        "devstack-second-server",
        "a server on a compute that uses the controller's",
        "openstack/devstack@493835a:stack.sh",
    ),
    rule(
        "devstack-glance-alone",
        "g-api on a compute without g-reg",
        "openstack/devstack@mitaka-eol:stack.sh",
    ),
    warning("devstack-database-type", "a compute without DATABASE_TYPE", _DATABASE),
    rule("devstack-database-host", "a compute without DATABASE_HOST", _DATABASE),
)
_BOOK = Book(RULES)
_NEUTRON = ("neutron", "q-svc", "q-agt", "q-dhcp", "q-l3", "q-meta", "neutron-api")
_SERVERS = ("key", "keystone", "mysql", "postgresql", "rabbit")


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    for rule_check in (
        _wiped,
        _again,
        _lists,
        _ovn,
        _mechanism,
        _replaced,
        _nova_network,
        _compute,
        _database,
    ):
        yield from rule_check(rc)


def _wiped(rc: Localrc) -> Iterator[Finding]:
    lines: list[int] = []  # of the calls since the list was last assigned
    for statement in rc.script.statements:
        if statement.conditional:
            continue
        if isinstance(statement, shell.Call):
            if statement.name in ("enable_service", "disable_service"):
                lines.append(statement.line)
            continue
        if statement.name != "ENABLED_SERVICES" or statement.is_appended:
            continue
        if lines and "ENABLED_SERVICES" not in statement.value.names:
            plural = "s" if len(lines) > 1 else ""
            yield _BOOK.finding(
                "devstack-services-wiped",
                rc.file,
                statement.line,
                f"this replaces the whole list, and undoes line{plural} "
                f"{', '.join(map(str, lines[:5]))}",
                "write ENABLED_SERVICES= above every enable_service and disable_service, or "
                "ENABLED_SERVICES+=,...",
            )
        lines = []


def _again(rc: Localrc) -> Iterator[Finding]:
    disabled: dict[str, int] = {}
    if not rc.disable_is_final:
        return
    for call in rc.script.calls:
        if call.conditional:
            continue
        if call.name == "disable_service":
            disabled |= {arg.text: call.line for arg in call.args}
        elif call.name == "enable_service":
            for arg in call.args:
                if arg.text in disabled:
                    yield _BOOK.finding(
                        "devstack-enable-after-disable",
                        rc.file,
                        call.line,
                        f"{arg.text} stays disabled: line {disabled[arg.text]} disabled it, and "
                        f"that is final",
                        f"remove {arg.text} from line {disabled[arg.text]}",
                    )


def _lists(rc: Localrc) -> Iterator[Finding]:
    for statement in rc.script.statements:
        if isinstance(statement, shell.Call):
            if statement.name == "disable_service":
                yield from _joined_names(rc, statement)
        elif statement.name in ("ENABLED_SERVICES", "DISABLED_SERVICES"):
            yield from _list(rc, statement)


def _list(rc: Localrc, assignment: shell.Assignment) -> Iterator[Finding]:
    """Yield a list that DevStack splits in another way than it was meant."""
    if any(char.isspace() for char in assignment.value.text.strip()):
        yield _BOOK.finding(
            "devstack-service-list",
            rc.file,
            assignment.line,
            "DevStack looks for ,name, in the list, and does not find a name next to a blank",
            f"write {assignment.name}=a,b,c with commas, without blanks, on one line",
        )
    elif assignment.is_appended and not assignment.value.text.startswith(","):
        yield _BOOK.finding(
            "devstack-service-list",
            rc.file,
            assignment.line,
            "the first name is joined to the last one of the list, and both are lost",
            f"write {assignment.name}+=,... with a comma first",
        )


def _joined_names(rc: Localrc, call: shell.Call) -> Iterator[Finding]:
    # disable_service takes its arguments as they are; only enable_service splits at commas.
    for argument in call.args:
        if "," in argument.text:
            names = [part for part in argument.text.split(",") if part]
            yield _BOOK.finding(
                "devstack-service-list",
                rc.file,
                call.line,
                f"nothing is disabled: DevStack takes {argument.text} for one name",
                f"disable_service {' '.join(names)}",
            )


def _ovn(rc: Localrc) -> Iterator[Finding]:
    if not rc.is_ovn:
        return
    by_release = not any(rc.is_set(name) for name in ("Q_AGENT", "Q_ML2_PLUGIN_MECHANISM_DRIVERS"))
    for wrong in ("q-agt", "neutron-agent", "q-l3", "neutron-l3"):
        if rc.services.has(wrong):
            why = (
                ", the default backend"
                if by_release and not rc.services.has("ovn-controller")
                else ""
            )
            yield _BOOK.finding(
                "devstack-ovn-agent",
                rc.file,
                rc.services.line(wrong),
                f"stack.sh stops: {wrong} must be disabled with OVN{why}",
                "write ovn-controller,ovs-vswitchd,ovsdb-server instead, or Q_AGENT=openvswitch "
                "and "
                "Q_ML2_PLUGIN_MECHANISM_DRIVERS=openvswitch on every node",
            )


def _replaced(rc: Localrc) -> Iterator[Finding]:
    release = rc.scope.release
    if release is None:
        return
    # n-net and, under OVN, the agents have rules of their own.
    others = {"n-net", "q-agt", "q-l3"} if rc.is_ovn else {"n-net"}
    for name, line in rc.services.enabled.items():
        if name in release.replaced and name not in others:
            yield _BOOK.finding(
                "devstack-replaced-service",
                rc.file,
                line,
                f"in DevStack {release.name}, {release.replaced[name]} does the work of {name}",
                f"write {release.replaced[name]} instead of {name}",
            )
    defaults = _defaults(release)
    for name, line in rc.services.disabled.items():
        successor = release.replaced.get(name, "")
        if successor in defaults and not rc.services.lacks(successor):
            yield _BOOK.finding(
                "devstack-replaced-service",
                rc.file,
                line,
                f"nothing is disabled: in DevStack {release.name}, {successor} does the work of "
                f"{name}",
                f"disable_service {successor}",
            )


def _defaults(release: Release) -> frozenset[str]:
    """Return neutron's services in the release's own list.

    They are the ones that other modes take out: `controller MODE off`.
    """
    lists = (
        words
        for key, words in release.services.items()
        if len(key.split()) == 3 and key.endswith(" off")
    )
    return frozenset(name for words in lists for name in words)


def _mechanism(rc: Localrc) -> Iterator[Finding]:
    """Yield a mechanism driver that stays ovn, its default since Xena, beside another Q_AGENT."""
    release, agent = rc.scope.release, rc.value("Q_AGENT")
    is_default = release is not None and release.network_modes[:1] == ("ovn",)
    if not is_default or rc.is_compute or agent not in ("openvswitch", "linuxbridge"):
        return
    name = "Q_ML2_PLUGIN_MECHANISM_DRIVERS"
    if rc.value("Q_PLUGIN") in ("", "ml2") and not rc.is_set(name) and not rc.value("Q_DVR_MODE"):
        yield _BOOK.finding(
            "devstack-mechanism",
            rc.file,
            rc.line("Q_AGENT"),
            f"neutron binds no ports of {agent}'s agents: ml2's mechanism driver "
            "stays ovn, the default",
            f"{name}={agent}",
        )


def _nova_network(rc: Localrc) -> Iterator[Finding]:
    release = rc.scope.release
    modes = [NetworkingMode(word) for word in release.network_modes] if release else []
    is_known_to_release = not modes or any(mode.is_nova_network for mode in modes)
    if rc.services.has("n-net") and release and not is_known_to_release:
        yield _BOOK.finding(
            "devstack-nova-network",
            rc.file,
            rc.services.line("n-net"),
            f"DevStack {release.name} does not know nova-network: it starts nothing for n-net, and "
            f"instances do not get a network",
            f"remove n-net: neutron, by {release.network_modes[0]}, is the default",
        )
        return
    # Where nova-network is a release's first mode, stackrc's own list has n-net.
    is_default = bool(modes) and modes[0].is_nova_network and not rc.services.is_whole
    is_on_by_default = is_default and "n-net" not in rc.services.disabled
    if rc.services.has(*_NEUTRON) and (rc.services.has("n-net") or is_on_by_default):
        yield _two_networks(rc)


def _two_networks(rc: Localrc) -> Finding:
    by_default = "" if rc.services.has("n-net") else " (n-net is in the release's default list)"
    fix = "disable_service n-net"
    if rc.services.is_whole:
        fix = "leave one of them in ENABLED_SERVICES"
    return _BOOK.finding(
        "devstack-two-networks",
        rc.file,
        rc.services.line("n-net") or rc.services.line(*_NEUTRON),
        f"nova-network and neutron are both enabled{by_default}, and each makes its own bridges "
        f"and rules",
        fix,
    )


def _compute(rc: Localrc) -> Iterator[Finding]:
    if not rc.is_compute:
        return
    if not rc.services.is_whole:
        if not rc.is_set("ENABLED_SERVICES"):
            yield _BOOK.finding(
                "devstack-compute-services",
                rc.file,
                0,
                "this compute installs the default list, with a second Keystone, "
                "database and API, because ENABLED_SERVICES is missing",
                "ENABLED_SERVICES=n-cpu,... and what else a compute needs",
            )
        return
    for name in _SERVERS:
        if rc.services.has(name):
            yield _BOOK.finding(
                "devstack-second-server",
                rc.file,
                rc.services.line(name),
                f"stack.sh installs and starts {name} here, too, though this node "
                "uses the controller's",
                f"remove {name} from ENABLED_SERVICES",
            )
    end = rc.scope.release.text("glance_alone") if rc.scope.release else ""
    if end and rc.services.has("g-api") and not rc.services.has("g-reg"):
        yield _BOOK.finding(
            "devstack-glance-alone",
            rc.file,
            rc.services.line("g-api"),
            f"{end}, because only g-reg makes /var/cache/glance",
            "remove g-api from ENABLED_SERVICES: nova asks the controller's, by GLANCE_HOSTPORT",
        )


def _database(rc: Localrc) -> Iterator[Finding]:
    if not (rc.is_compute and rc.services.is_whole) or rc.services.has("mysql", "postgresql"):
        return
    if not rc.is_set("DATABASE_TYPE"):
        yield _BOOK.finding(
            "devstack-database-type",
            rc.file,
            0,
            'stack.sh says "No database enabled" and leaves connections empty; n-cpu '
            "still starts, c-vol, n-net and n-api do not",
            "DATABASE_TYPE=mysql",
        )
    elif not any(rc.is_set(name) for name in ("DATABASE_HOST", "MYSQL_HOST", "BASE_SQL_CONN")):
        yield _BOOK.finding(
            "devstack-database-host",
            rc.file,
            rc.line("DATABASE_TYPE"),
            "this compute looks for the database on itself (127.0.0.1, the default), "
            "where it does not run",
            "write MYSQL_HOST=$SERVICE_HOST below SERVICE_HOST",
        )
