"""Rules for what an enabled service needs that the list of services leaves out."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab.installers.devstack.lint import known
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding

RULES = (
    rule(
        "devstack-placement-missing",
        "nova without placement in the list of services",
        "openstack/devstack@ocata-eol:stackrc, stack.sh: configure_placement_nova_compute",
        is_of_age=True,
    ),
    rule(
        "devstack-database-other",
        "a DATABASE_TYPE that is not the enabled database",
        "openstack/devstack@493835a:lib/database: initialize_database_backends",
    ),
)
_BOOK = Book(RULES)
_FIRST_WITH_PLACEMENT = "ocata"
_PLACEMENT = ("placement", "placement-api", "placement-client")
_DATABASES = ("mysql", "postgresql")  # in the order in which DevStack asks: the last one wins


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    yield from _check_placement(rc)
    yield from _check_database(rc)


def _check_placement(rc: Localrc) -> Iterator[Finding]:
    """Yield a whole list with nova in it, and without what nova asks for each instance's host."""
    release = rc.scope.release
    if release is None or known.is_before(release.name, _FIRST_WITH_PLACEMENT):
        return
    if not rc.services.is_whole or rc.services.has(*_PLACEMENT):
        return
    if rc.services.has("n-sch"):
        effect = "nova's scheduler finds no host for any instance"
        missing = "placement-api,placement-client"
    elif rc.services.has("n-cpu"):
        effect = "no instance starts on this node: nova-compute cannot tell placement of it"
        missing = "placement-client"
    else:
        return
    yield _BOOK.finding(
        "devstack-placement-missing",
        rc.file,
        rc.services.line("n-sch", "n-cpu"),
        effect=f"{effect}, because ENABLED_SERVICES lacks {missing.replace(',', ' and ')}",
        fix=f"ENABLED_SERVICES+=,{missing}",
    )


def _check_database(rc: Localrc) -> Iterator[Finding]:
    """Yield a DATABASE_TYPE that DevStack replaces by the enabled database."""
    wanted, taken = rc.value("DATABASE_TYPE"), _find_database(rc)
    if wanted not in _DATABASES or taken in ("", wanted):
        return
    fix = f"disable_service {taken}"
    if not rc.services.has(wanted):
        fix = f"{fix}, and enable_service {wanted}"
    yield _BOOK.finding(
        "devstack-database-other",
        rc.file,
        rc.line("DATABASE_TYPE"),
        effect=f"DevStack takes {taken} all the same, because that is enabled",
        fix=fix,
    )


def _find_database(rc: Localrc) -> str:
    """Return the database that DevStack takes: the last enabled one; "" if none surely is."""
    enabled = {name for name in _DATABASES if rc.services.has(name)}
    if not rc.services.is_whole:
        defaults = set(rc.default_services.split(","))
        enabled |= defaults & set(_DATABASES) - rc.services.disabled.keys()
    return next((name for name in reversed(_DATABASES) if name in enabled), "")
