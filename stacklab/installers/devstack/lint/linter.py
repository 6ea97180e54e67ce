"""Rules for DevStack's localrc, as stackrc and stack.sh take it."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab.installers.devstack.lint import localrc
from stacklab.installers.devstack.lint.rules import (
    names,
    needs,
    plugins,
    secrets,
    servers,
    services,
    shell_rules,
    sources,
    values,
    whole_lists,
    words,
)
from stacklab.installers.devstack.lint.rules.networks import addresses, backends, devices, ranges
from stacklab.lint.finding import Finding
from stacklab.lint.scope import Scope, Source

_MODULES = (
    secrets,
    services,
    whole_lists,
    needs,
    backends,
    plugins,
    addresses,
    ranges,
    devices,
    words,
    sources,
    servers,
    values,
    names,
)
RULES = (*shell_rules.RULES, *(each for module in _MODULES for each in module.RULES))


def lint(
    source: Source, scope: Scope, overridden: frozenset[str] = frozenset()
) -> Iterator[Finding]:
    """Yield every finding in a localrc; post-config sections may have overridden options."""
    rc = localrc.load(source, scope, overridden)
    yield from shell_rules.check(rc)
    # With carriage returns in all values, every other rule would break as well.
    if any(line.endswith("\r") for line in source.lines):
        return
    for module in _MODULES:
        yield from module.check(rc)
