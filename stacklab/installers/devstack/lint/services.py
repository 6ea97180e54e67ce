"""Rules for DevStack's services, plugins, and what a compute must not be without."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint import shell
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.model.stack import NetworkingMode
from stacklab.releases import Release

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
    rule("devstack-plugin-twice", "a plugin that is enabled twice", f"{_COMMON}: enable_plugin"),
    rule("devstack-plugin-url", "a plugin without its URL", f"{_COMMON}: enable_plugin"),
    rule(
        "devstack-plugin-release",
        "a plugin for a release without enable_plugin",
        "openstack/devstack@2c65e71a",
    ),
)
_BOOK = Book(RULES)
_NEUTRON = ("neutron", "q-svc", "q-agt", "q-dhcp", "q-l3", "q-meta", "neutron-api")
_SERVERS = ("key", "keystone", "mysql", "postgresql", "rabbit")


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    for each in (
        _wiped,
        _again,
        _lists,
        _ovn,
        _mechanism,
        _replaced,
        _nova_network,
        _compute,
        _database,
        _plugins,
    ):
        yield from each(rc)


def _wiped(rc: Localrc) -> Iterator[Finding]:
    calls: list[shell.Call] = []
    for each in rc.script.statements:
        if each.conditional:
            continue
        if isinstance(each, shell.Call) and each.name in ("enable_service", "disable_service"):
            calls.append(each)
        elif (
            isinstance(each, shell.Assignment)
            and each.name == "ENABLED_SERVICES"
            and not each.is_appended
        ):
            if calls and "ENABLED_SERVICES" not in each.value.names:
                lines = ", ".join(str(call.line) for call in calls[:5])
                yield _BOOK.finding(
                    "devstack-services-wiped",
                    rc.file,
                    each.line,
                    f"the whole list is replaced: what line{'s' if len(calls) > 1 else ''} {lines} "
                    f"set is undone",
                    "write ENABLED_SERVICES= above every enable_service and disable_service, or "
                    "ENABLED_SERVICES+=,...",
                )
            calls = []


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
    for each in rc.script.statements:
        if isinstance(each, shell.Assignment) and each.name in (
            "ENABLED_SERVICES",
            "DISABLED_SERVICES",
        ):
            if any(char.isspace() for char in each.value.text.strip()):
                yield _BOOK.finding(
                    "devstack-service-list",
                    rc.file,
                    each.line,
                    "names next to a blank are not recognised: the list is compared as ,name,",
                    f"write {each.name}=a,b,c with commas, without blanks, on one line",
                )
            elif each.is_appended and not each.value.text.startswith(","):
                yield _BOOK.finding(
                    "devstack-service-list",
                    rc.file,
                    each.line,
                    "the first name is glued to the last one of the list: both are lost",
                    f"write {each.name}+=,... with a comma first",
                )
        elif isinstance(each, shell.Call) and each.name == "disable_service":
            for arg in each.args:
                if "," in arg.text:
                    yield _BOOK.finding(
                        "devstack-service-list",
                        rc.file,
                        each.line,
                        f"{arg.text} is taken for one name, which is not enabled: nothing is "
                        f"disabled",
                        f"disable_service {' '.join(part for part in arg.text.split(',') if part)}",
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
    for name, line in rc.services.enabled.items():
        # n-net and, under OVN, the agents have rules of their own.
        if (
            release
            and name in release.replaced
            and name != "n-net"
            and not (rc.is_ovn and name in ("q-agt", "q-l3"))
        ):
            yield _BOOK.finding(
                "devstack-replaced-service",
                rc.file,
                line,
                f"in DevStack {release.name}, {release.replaced[name]} does the work of {name}",
                f"write {release.replaced[name]} instead of {name}",
            )

    for name, line in rc.services.disabled.items():
        instead = release.replaced.get(name, "") if release else ""
        if instead and release and instead in _defaults(release) and not rc.services.lacks(instead):
            yield _BOOK.finding(
                "devstack-replaced-service",
                rc.file,
                line,
                f"nothing is disabled: in DevStack {release.name}, {instead} does the work of "
                f"{name}",
                f"disable_service {instead}",
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
            f"ml2's mechanism driver stays ovn, the default: neutron asks OVN for ports that "
            f"{agent}'s agents should "
            "make, and none is bound",
            f"{name}={agent}",
        )


def _nova_network(rc: Localrc) -> Iterator[Finding]:
    release = rc.scope.release
    modes = [NetworkingMode(word) for word in release.network_modes] if release else []
    has_it = not modes or any(mode.is_nova_network for mode in modes)
    if rc.services.has("n-net") and not has_it and release:
        yield _BOOK.finding(
            "devstack-nova-network",
            rc.file,
            rc.services.line("n-net"),
            f"DevStack {release.name} has no nova-network: nothing is started, and instances get "
            f"no network",
            f"remove n-net: neutron, by {release.network_modes[0]}, is the default",
        )
        return
    is_default = bool(modes) and modes[0].is_nova_network and not rc.services.is_whole
    is_on = rc.services.has("n-net") or (is_default and "n-net" not in rc.services.disabled)
    if is_on and rc.services.has(*_NEUTRON):
        line = rc.services.line("n-net") or rc.services.line(*_NEUTRON)
        what = "" if rc.services.has("n-net") else " (n-net is in the release's default list)"
        yield _BOOK.finding(
            "devstack-two-networks",
            rc.file,
            line,
            f"nova-network and neutron are both enabled{what}: each makes bridges and rules of its "
            f"own",
            "disable_service n-net"
            if not rc.services.is_whole
            else "leave one of them in ENABLED_SERVICES",
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
                "without ENABLED_SERVICES this compute installs the default list: a second "
                "Keystone, database and API",
                "ENABLED_SERVICES=n-cpu,... and what else a compute needs",
            )
        return
    for name in _SERVERS:
        if rc.services.has(name):
            yield _BOOK.finding(
                "devstack-second-server",
                rc.file,
                rc.services.line(name),
                f"{name} is installed and started here too, and nothing uses it: this node uses "
                f"the controller's",
                f"remove {name} from ENABLED_SERVICES",
            )
    end = rc.scope.release.text("glance_alone") if rc.scope.release else ""
    if end and rc.services.has("g-api") and not rc.services.has("g-reg"):
        yield _BOOK.finding(
            "devstack-glance-alone",
            rc.file,
            rc.services.line("g-api"),
            f"without g-reg nobody makes /var/cache/glance: {end}",
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
            '"No database enabled": connections are written empty; n-cpu bears that, c-vol, n-net '
            "and n-api do not",
            "DATABASE_TYPE=mysql",
        )
    elif not any(rc.is_set(name) for name in ("DATABASE_HOST", "MYSQL_HOST", "BASE_SQL_CONN")):
        yield _BOOK.finding(
            "devstack-database-host",
            rc.file,
            rc.line("DATABASE_TYPE"),
            "the default is this node itself (127.0.0.1), where no database runs",
            "write MYSQL_HOST=$SERVICE_HOST below SERVICE_HOST",
        )


def _plugins(rc: Localrc) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    release = rc.scope.release
    for call in rc.script.calls:
        if call.name != "enable_plugin" or call.conditional:
            continue
        name = call.args[0].text if call.args else ""
        if release and "plugins" not in release.options:
            yield _BOOK.finding(
                "devstack-plugin-release",
                rc.file,
                call.line,
                f"DevStack {release.name} knows no enable_plugin: the line is an unknown command "
                f"and does nothing",
                "take a release from Kilo on, or follow the plugin's own instructions for this one",
            )
        elif len(call.args) < 2:
            yield _BOOK.finding(
                "devstack-plugin-url",
                rc.file,
                call.line,
                f"the plugin {name or '?'} has no URL: cloning it fails",
                f"enable_plugin {name or 'NAME'} https://opendev.org/openstack/{name or 'NAME'}",
            )
        elif name in seen:
            effect = f"stack.sh stops: {name} was enabled on line {seen[name]} already"
            if release and release.text("plugin_twice") == "replaces":
                effect = f"URL and branch of line {seen[name]} are lost, and every phase of {name} is run twice"
            yield _BOOK.finding(
                "devstack-plugin-twice",
                rc.file,
                call.line,
                effect,
                f"remove line {call.line} or {seen[name]}",
            )
        seen.setdefault(name, call.line)
