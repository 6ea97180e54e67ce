"""Rules for DevStack's localrc, as stackrc and stack.sh take it."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab.installers.devstack.lint import addresses as devstack_addresses
from stacklab.installers.devstack.lint import (
    backends,
    localrc,
    servers,
    shell_rules,
    values,
    whole_lists,
)
from stacklab.installers.devstack.lint import names as devstack_names
from stacklab.installers.devstack.lint import plugins as devstack_plugins
from stacklab.installers.devstack.lint import secrets as devstack_secrets
from stacklab.installers.devstack.lint import services as devstack_services
from stacklab.installers.devstack.lint import sources as devstack_sources
from stacklab.lint.finding import Finding
from stacklab.lint.scope import Scope, Source

RULES = (
    *shell_rules.RULES,
    *devstack_secrets.RULES,
    *devstack_services.RULES,
    *whole_lists.RULES,
    *backends.RULES,
    *devstack_plugins.RULES,
    *devstack_addresses.RULES,
    *devstack_sources.RULES,
    *servers.RULES,
    *values.RULES,
    *devstack_names.RULES,
)


def lint(
    source: Source, scope: Scope, overridden: frozenset[str] = frozenset()
) -> Iterator[Finding]:
    """Yield every finding in a localrc; post-config sections may have overridden options."""
    rc = localrc.load(source, scope, overridden)
    yield from shell_rules.check(rc)
    # With carriage returns in all values, every other rule would break as well.
    if any(line.endswith("\r") for line in source.lines):
        return
    for module in (
        devstack_secrets,
        devstack_services,
        whole_lists,
        backends,
        devstack_plugins,
        devstack_addresses,
        devstack_sources,
        servers,
        values,
        devstack_names,
    ):
        yield from module.check(rc)
