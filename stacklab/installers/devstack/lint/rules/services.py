"""Rules for DevStack's lists of services, and what a compute must not be without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stacklab.installers.devstack.lint import known
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.readers import shell
from stacklab.model.release import Release

_COMMON = "openstack/devstack@493835a:functions-common"
_DATABASE = "openstack/devstack@493835a:lib/database: initialize_database_backends"
RULES = (
    # How the lists are written and changed.
    rule(
        "devstack-enable-after-disable",
        "enable_service of what was disabled",
        f"{_COMMON}: enable_service",
        is_of_age=True,
    ),
    rule(
        "devstack-service-list",
        "a list of services with the wrong separator",
        f"{_COMMON}: is_service_enabled",
    ),
    warning(
        "devstack-service-order",
        "a list of services that works by its order alone",
        f"{_COMMON}: disable_service, is_service_enabled",
    ),
    rule(
        "devstack-disabled-list",
        "DISABLED_SERVICES instead of disable_service",
        f"{_COMMON}: verify_disabled_services",
    ),
    warning(
        "devstack-replaced-service",
        "a service that another one has replaced",
        "localrc/releases.yaml: replaced",
        is_of_age=True,
    ),
    # What a compute runs, and which servers it asks.
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
_DATABASES = ("mysql", "postgresql")
_FIRST_WITH_DISABLED = "liberty"
# What a compute may run without asking a database: nova's conductor and neutron's server do it.
_WITHOUT_DATABASE = frozenset(
    {
        "dstat",
        "file_tracker",
        "memory_tracker",
        "n-cauth",
        "n-cpu",
        "n-spice",
        "n-xvnc",
        "neutron",
        "neutron-agent",
        "neutron-agt",
        "neutron-dhcp",
        "neutron-l3",
        "neutron-metadata-agent",
        "odl-compute",
        "ovn-controller",
        "ovs-vswitchd",
        "ovsdb-server",
        "peakmem_tracker",
        "placement-client",
        "q-agt",
        "q-dhcp",
        "q-l3",
        "q-meta",
        "q-ovn-agent",
        "q-ovn-metadata-agent",
        "q-sriov-agt",
        "qpid",
        "rabbit",
        "zeromq",
    }
)
_FIRST_WITH_TOKENS = "rocky"  # whose consoles look into the database, and ask n-cauth no more
_SERVERS = ("key", "keystone", *_DATABASES, "rabbit")  # of which a cloud has one, on its controller


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    yield from _find_final_disables(rc)
    yield from _find_bad_separators(rc)
    if rc.scope.release is not None:
        yield from _check_disabled_list(rc, rc.scope.release)
        yield from _find_replaced_services(rc, rc.scope.release)
        yield from _find_useless_disables(rc, rc.scope.release)
    if rc.is_compute:
        yield from _check_compute_list(rc)
        yield from _check_compute_database(rc)


def _find_final_disables(rc: Localrc) -> Iterator[Finding]:
    """Yield enable_service of what a line above has disabled for good."""
    if not rc.disable_is_final:
        return
    disabled: dict[str, int] = {}
    for call in rc.script.calls:
        if call.conditional:
            continue
        if call.name == "disable_service":
            for argument in call.args:
                disabled[argument.text] = call.line
        elif call.name == "enable_service":
            yield from _find_disabled_names(rc, call, disabled)


def _find_disabled_names(
    rc: Localrc, call: shell.Call, disabled: Mapping[str, int]
) -> Iterator[Finding]:
    """Yield arguments of an enable_service that `disabled` has, with the lines that did it."""
    for argument in call.args:
        name = argument.text
        if name in disabled:
            yield _BOOK.finding(
                "devstack-enable-after-disable",
                rc.file,
                call.line,
                effect=f"{name} stays disabled: line {disabled[name]} disabled it, and that is "
                "final",
                fix=f"remove {name} from line {disabled[name]}",
            )


def _find_bad_separators(rc: Localrc) -> Iterator[Finding]:
    """Yield lists whose names DevStack does not tell apart.

    A list under a condition is judged as well: it is wrong whenever it counts.
    """
    # What a first += follows: stackrc's list, and nothing.
    before = {"ENABLED_SERVICES": "key", "DISABLED_SERVICES": ""}
    for statement in rc.script.statements:
        if isinstance(statement, shell.Call):
            if statement.name == "disable_service":
                yield from _find_joined_names(rc, statement)
                before["DISABLED_SERVICES"] = "key"
            if statement.name in ("disable_service", "enable_service"):
                before["ENABLED_SERVICES"] = "key"  # both take commas away from its end
            elif statement.name == "disable_all_services":
                before["ENABLED_SERVICES"] = ""
        elif statement.name in before:
            yield from _check_list(rc, statement, before[statement.name])
            if statement.value.text or not statement.is_appended:
                before[statement.name] = statement.value.text


def _check_list(rc: Localrc, assignment: shell.Assignment, before: str) -> Iterator[Finding]:
    """Yield a list that DevStack splits in another way than it was meant.

    `before` is what the lines above leave at its end.
    """
    text = assignment.value.text
    # Blanks around the whole list do no harm; a continued line leaves some inside it.
    if len(text.split()) > 1:
        yield _BOOK.finding(
            "devstack-service-list",
            rc.file,
            assignment.line,
            effect="DevStack looks for ,name, in the list, and does not find a name next to a "
            "blank",
            fix=f"write {assignment.name}=a,b,c with commas, without blanks, on one line",
        )
    elif assignment.is_appended and before and before[-1] != "," and text[:1] not in ("", ","):
        yield _BOOK.finding(
            "devstack-service-list",
            rc.file,
            assignment.line,
            effect="the first name is joined to the last one of the list, and both are lost",
            fix=f"write {assignment.name}+=,... with a comma first",
        )


def _find_joined_names(rc: Localrc, call: shell.Call) -> Iterator[Finding]:
    """Yield arguments of a disable_service that hold several names.

    disable_service takes its arguments as they are; only enable_service splits at commas.
    """
    for argument in call.args:
        if "," not in argument.text:
            continue
        names = [part for part in argument.text.split(",") if part]
        if argument.text in rc.services.in_order:
            yield _BOOK.finding(
                "devstack-service-order",
                rc.file,
                call.line,
                effect=f"DevStack finds {argument.text} as one text, because the list has these "
                "names in just this order",
                fix=f"disable_service {' '.join(names)}",
            )
            continue
        # An assignment there was meant for a line of its own.
        is_assignment = "=" in argument.text
        own_line = f"write {argument.text} on a line of its own"
        yield _BOOK.finding(
            "devstack-service-list",
            rc.file,
            call.line,
            effect=f"nothing is disabled: DevStack takes {argument.text} for one name",
            fix=own_line if is_assignment else f"disable_service {' '.join(names)}",
        )


def _check_disabled_list(rc: Localrc, release: Release) -> Iterator[Finding]:
    """Yield services that DISABLED_SERVICES names, and that are enabled all the same.

    disable_service writes that list, and takes them out of ENABLED_SERVICES, which nobody else
    does.
    """
    enabled = set(rc.services.enabled)
    if not rc.services.is_whole:
        enabled |= {*known.default_services(release.name).split(",")} - rc.services.disabled.keys()
    listed = [name.strip() for name in rc.value("DISABLED_SERVICES").split(",")]
    names = [name for name in listed if name in enabled]
    if not names:
        return
    shown = " and ".join(names)
    verb = "are" if len(names) > 1 else "is"
    effect = f"stack.sh stops: {shown} {verb} in ENABLED_SERVICES, and here, too"
    if known.is_before(release.name, _FIRST_WITH_DISABLED):
        effect = f"nothing is disabled: DevStack {release.name} does not know this list"
    yield _BOOK.finding(
        "devstack-disabled-list",
        rc.file,
        rc.line("DISABLED_SERVICES"),
        effect=effect,
        fix=f"disable_service {' '.join(names)}",
    )


def _find_replaced_services(rc: Localrc, release: Release) -> Iterator[Finding]:
    """Yield enabled services whose work another service does in the release."""
    # n-net and, under OVN, the agents have rules of their own.
    excepted = {"n-net", "q-agt", "q-l3"} if rc.is_ovn else {"n-net"}
    for name, line in rc.services.enabled.items():
        if name in excepted or name not in release.replaced or _is_of_ovn_plugin(rc, name):
            continue
        if known.is_started(release, name):
            continue  # the release has both, and starts what is asked for
        successor = release.replaced[name]
        yield _BOOK.finding(
            "devstack-replaced-service",
            rc.file,
            line,
            effect=f"in DevStack {release.name}, {successor} does the work of {name}",
            fix=f"write {successor} instead of {name}",
        )


def _find_useless_disables(rc: Localrc, release: Release) -> Iterator[Finding]:
    """Yield disabled services whose successor runs all the same."""
    defaults = _find_default_services(release)
    for name, line in rc.services.disabled.items():
        successor = release.replaced.get(name, "")
        # A successor that the release does not start by itself has nothing to be disabled.
        if successor not in defaults or rc.services.lacks(successor):
            continue
        if _is_of_ovn_plugin(rc, name):
            continue
        yield _BOOK.finding(
            "devstack-replaced-service",
            rc.file,
            line,
            effect=f"nothing is disabled: in DevStack {release.name}, {successor} does the work of "
            f"{name}",
            fix=f"disable_service {successor}",
        )


def _is_of_ovn_plugin(rc: Localrc, name: str) -> bool:
    """Return True for a service that networking-ovn brings, before DevStack had one like it."""
    return "ovn" in name.split("-") and "networking-ovn" in rc.plugins


def _find_default_services(release: Release) -> frozenset[str]:
    """Return neutron's services in the release's own list.

    They are the ones that other modes take out: `controller MODE off`.
    """
    defaults: set[str] = set()
    for key, names in release.services.items():
        # `controller off` is not a mode's: it names what a controller without instances lacks.
        if len(key.split()) == 3 and key.endswith(" off"):
            defaults.update(names)
    return frozenset(defaults)


def _check_compute_list(rc: Localrc) -> Iterator[Finding]:
    """Yield what is wrong with the services of a compute."""
    if rc.services.is_whole:
        yield from _find_second_servers(rc)
        yield from _check_glance_alone(rc)
    # A list that a condition may set, or that goes on from the default, was meant so.
    elif not rc.is_set("ENABLED_SERVICES"):
        yield _BOOK.finding(
            "devstack-compute-services",
            rc.file,
            0,
            effect="this compute installs the default list, with a second Keystone, "
            "database and API, because ENABLED_SERVICES is missing",
            fix="ENABLED_SERVICES=n-cpu,... and what else a compute needs",
        )


def _find_second_servers(rc: Localrc) -> Iterator[Finding]:
    """Yield servers that would run here beside the controller's, and that nothing asks."""
    for name, line in rc.services.find(*_SERVERS):
        yield _BOOK.finding(
            "devstack-second-server",
            rc.file,
            line,
            effect=f"stack.sh installs and starts {name} here, too, though this node "
            "uses the controller's",
            fix=f"remove {name} from ENABLED_SERVICES",
        )


def _check_glance_alone(rc: Localrc) -> Iterator[Finding]:
    """Yield a g-api without g-reg, in releases whose row says how that ends."""
    release = rc.scope.release
    how_it_ends = release.text("glance_alone") if release else ""
    if not how_it_ends or not rc.services.has("g-api") or rc.services.has("g-reg"):
        return
    yield _BOOK.finding(
        "devstack-glance-alone",
        rc.file,
        rc.services.line("g-api"),
        effect=f"{how_it_ends}, because only g-reg makes /var/cache/glance",
        fix="remove g-api from ENABLED_SERVICES: nova asks the controller's, by GLANCE_HOSTPORT",
    )


def _find_asking(rc: Localrc) -> list[str]:
    """Return the compute's services of DevStack's own that ask a database; plugins have others."""
    plugins_own = known.plugin_of_service().keys() - known.services(rc.scope.release)
    asked = known.every_service() - plugins_own - _WITHOUT_DATABASE
    if known.is_surely_before(rc.scope.release, _FIRST_WITH_TOKENS):
        asked -= {"n-novnc"}
    return [name for name in rc.services.enabled if name in asked]


def _check_compute_database(rc: Localrc) -> Iterator[Finding]:
    """Yield what keeps a compute from the controller's database."""
    if not rc.services.is_whole or rc.services.has(*_DATABASES):
        return
    if not rc.is_set("DATABASE_TYPE"):
        asking = _find_asking(rc)
        if not asking:
            return
        verb = "does" if len(asking) == 1 else "do"
        yield _BOOK.finding(
            "devstack-database-type",
            rc.file,
            0,
            effect='stack.sh says "No database enabled" and leaves connections empty: '
            f"{', '.join(asking)} {verb} not work",
            fix="DATABASE_TYPE=mysql",
        )
        return
    # MYSQL_HOST is the older name of DATABASE_HOST; BASE_SQL_CONN is a whole URL.
    if not rc.is_any_set("DATABASE_HOST", "MYSQL_HOST", "BASE_SQL_CONN"):
        yield _BOOK.finding(
            "devstack-database-host",
            rc.file,
            rc.line("DATABASE_TYPE"),
            effect="this compute looks for the database on itself (127.0.0.1, the default), "
            "where it does not run",
            fix="write MYSQL_HOST=$SERVICE_HOST below SERVICE_HOST",
        )
