"""Which release of DevStack a file is for: by its branches, else by names that came or went."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab import releases
from stacklab.installers.devstack.lint import known
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.installers.devstack.lint.sources import named_release, naming_line
from stacklab.lint.era import Era, Ground, Mark
from stacklab.lint.kinds import FileKind, by_marks, era_as_said
from stacklab.model.stack import Installer

# Carried along in files of any age: the samples had it, and nothing complains.
_NO_MARKS = frozenset({"SERVICE_TOKEN"})


def find(kind: FileKind, rc: Localrc) -> Era:
    """Return the era of a localrc that does not lie in a lab."""
    named = named_release(rc)
    if named:
        line, ref = naming_line(rc, named)
        return era_as_said(kind, named, Ground.NAME, f"line {line} names {ref}")
    return by_marks(kind, _find_marks(rc))


def _find_marks(rc: Localrc) -> Iterator[Mark]:
    """Yield services and variables that only some releases have.

    Variables that went and do no harm are carried along for years: they count only where a
    release's row says what they were for.
    """
    plugins = rc.plugins
    eras = known.variable_eras()
    for name in rc.settled:
        first, last = eras.get(name, ("", ""))
        is_telling = first and (not last or name in _find_inert_ever())
        if is_telling and name not in _NO_MARKS and not known.may_be_of_plugin(name, plugins):
            having = _releases_in(first, last) - _find_inert_in(name)
            yield Mark(name=name, line=rc.line(name), releases=having)
    for call in rc.calls_of("enable_plugin"):
        yield Mark(name=call.name, line=call.line, releases=_releases_with_plugins())
    services = known.service_eras()
    for name, line in rc.services.enabled.items():
        if name in services and not known.may_be_of_plugin(name, plugins):
            yield Mark(name=name, line=line, releases=_releases_in(*services[name]))


def _find_inert_ever() -> frozenset[str]:
    """Return variables of which some release's row says why it does not read them."""
    names: set[str] = set()
    for release in releases.of(Installer.DEVSTACK).values():
        names |= release.inert.keys()
    return frozenset(names)


def _find_inert_in(name: str) -> frozenset[str]:
    """Return the releases whose rows say that they do not read a variable, or to no effect."""
    rows = releases.of(Installer.DEVSTACK)
    return frozenset(release for release, row in rows.items() if row.inert.get(name))


def _releases_with_plugins() -> frozenset[str]:
    rows = releases.of(Installer.DEVSTACK)
    return frozenset(release for release, row in rows.items() if "plugins" in row.options)


def _releases_in(first: str, last: str) -> frozenset[str]:
    names = releases.of(Installer.DEVSTACK)
    return frozenset(name for name in names if known.is_in(name, first, last))
