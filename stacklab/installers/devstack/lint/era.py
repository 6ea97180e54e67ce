"""Which release of DevStack a file is for: by its branches, else by names that came or went."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab import releases
from stacklab.installers.devstack.lint import known
from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.installers.devstack.lint.rules.names import HARMLESS
from stacklab.installers.devstack.lint.rules.sources import named_release, naming_line
from stacklab.lint.era import Mark
from stacklab.lint.kind_era import by_marks, era_as_said
from stacklab.lint.kinds import FileKind
from stacklab.lint.scope import Era, Ground
from stacklab.model.stack import Installer

# Carried along in files of any age: the samples had it, and nothing complains.
_NO_MARKS = frozenset({"SERVICE_TOKEN"})
_MANY = 3  # of such names are not there by chance
_FIRST_WITH_OVN = "victoria"


def find(kind: FileKind, rc: Localrc) -> Era:
    """Return the era of a localrc that does not lie in a lab."""
    named = named_release(rc)
    if named:
        line, ref = naming_line(rc, named)
        return era_as_said(kind, named, Ground.NAME, f"line {line} names {ref}")
    return by_marks(kind, _find_marks(rc))


def _find_marks(rc: Localrc) -> Iterator[Mark]:
    """Yield what only some releases have: services, variables, servers, a backend.

    Variables that went and do no harm are carried along for years: all of them together count
    as one mark, and only beside another one that is as old, or beside several leftovers. Those
    that everybody carries along tell no release, but add to the number of old names.
    """
    marks = [*_find_variables(rc), *_find_services(rc), *_find_ways(rc)]
    yield from marks
    newest = next(iter(releases.of(Installer.DEVSTACK)))
    carried = [*_find_carried_along(rc), *_find_leftovers(rc)]
    many = len({mark.origin for mark in carried}) >= _MANY
    if many or any(newest not in mark.releases for mark in marks):
        yield from carried


def _find_variables(rc: Localrc) -> Iterator[Mark]:
    """Yield variables that came, and those that went of which a release's row says why."""
    eras = known.variable_eras()
    for name in rc.settled:
        first, last = eras.get(name, ("", ""))
        is_telling = first and (not last or name in _find_inert_ever())
        is_meant = name not in _NO_MARKS and not known.may_be_of_plugin(name, rc.plugins)
        if is_telling and is_meant:
            releases_with = _releases_in(first, last)
            yield Mark(
                name=name,
                line=rc.line(name),
                releases=releases_with,
                origin=name,
                is_harmless=name in HARMLESS,
            )


def _find_services(rc: Localrc) -> Iterator[Mark]:
    """Yield services that came or went, and enable_plugin."""
    for call in rc.calls_of("enable_plugin"):
        yield Mark(name=call.name, line=call.line, releases=_releases_with("plugins"))
    services = known.service_eras()
    for name, line in rc.services.enabled.items():
        if name in services and not known.may_be_of_plugin(name, rc.plugins):
            origin = known.plugin_of_service().get(name, name)
            yield Mark(name=name, line=line, releases=_releases_in(*services[name]), origin=origin)


def _find_ways(rc: Localrc) -> Iterator[Mark]:
    """Yield agents where a release takes OVN by default, and the server that Train left."""
    is_told = rc.is_any_set("Q_AGENT", "Q_ML2_PLUGIN_MECHANISM_DRIVERS", "Q_PLUGIN")
    for name in ("q-agt", "q-l3"):
        if name in rc.services.enabled and not is_told and "mechanism_drivers" not in rc.overridden:
            line = rc.services.enabled[name]
            yield Mark(
                name=name, line=line, releases=_releases_without_ovn(), origin="agents without OVN"
            )
    yield from _find_own_ovn(rc)
    for number, text in enumerate(rc.lines, start=1):
        if "git.openstack.org" in text and not text.lstrip().startswith("#"):
            host = "git.openstack.org"
            releases_with = _releases_in("havana", "stein")
            yield Mark(name=host, line=number, releases=releases_with, origin=host)
            return


def _find_own_ovn(rc: Localrc) -> Iterator[Mark]:
    """Yield OVN that no plugin brings: it is DevStack's own since Victoria."""
    if "networking-ovn" in rc.plugins:
        return
    for name in ("Q_AGENT", "NEUTRON_AGENT", "Q_ML2_PLUGIN_MECHANISM_DRIVERS"):
        if "ovn" in rc.value(name).split(","):
            releases_with = _releases_in(_FIRST_WITH_OVN, "")
            yield Mark(name=name, line=rc.line(name), releases=releases_with, origin="OVN")
            return


def _find_carried_along(rc: Localrc) -> Iterator[Mark]:
    """Yield one mark for the variables that went, of the releases that read most of them."""
    eras = known.variable_eras()
    gone: dict[str, frozenset[str]] = {}
    for name in rc.settled:
        first, last = eras.get(name, ("", ""))
        is_carried = last and name not in _find_inert_ever() and name not in _NO_MARKS
        if is_carried and not known.may_be_of_plugin(name, rc.plugins):
            gone[name] = _releases_in(first, last)
    if not gone:
        return
    counts = {
        release: sum(release in having for having in gone.values())
        for release in releases.of(Installer.DEVSTACK)
    }
    most = frozenset(release for release, count in counts.items() if count == max(counts.values()))
    # The one that most of these releases read, since it is shown as one that they know.
    name = max(gone, key=lambda name: len(most & gone[name]))
    yield Mark(name=name, line=rc.line(name), releases=most & gone[name], origin=name)


def _find_leftovers(rc: Localrc) -> Iterator[Mark]:
    """Yield old names that people carry along, and that tell no release.

    So are services that went, in disable_service: every guide had n-net there once.
    """
    for name in rc.settled:
        if name in _NO_MARKS:
            yield _leftover(name, rc.line(name), _releases_that_read(name))
    eras = known.service_eras()
    plugins = known.plugin_of_service()
    for name, line in rc.services.disabled.items():
        if name in eras and eras[name][1] and not known.may_be_of_plugin(name, rc.plugins):
            origin = plugins.get(name, name)
            yield _leftover(name, line, _releases_in(*eras[name]), origin)


def _leftover(name: str, line: int, having: frozenset[str], origin: str = "") -> Mark:
    return Mark(name=name, line=line, releases=having, origin=origin or name, is_leftover=True)


def _releases_that_read(name: str) -> frozenset[str]:
    """Return the releases whose rows do not say that they pass over a variable."""
    rows = releases.of(Installer.DEVSTACK)
    return frozenset(release for release, row in rows.items() if not row.inert.get(name))


def _find_inert_ever() -> frozenset[str]:
    """Return variables of which some release's row says why it does not read them."""
    names: set[str] = set()
    for release in releases.of(Installer.DEVSTACK).values():
        names |= release.inert.keys()
    return frozenset(names)


def _releases_with(option: str) -> frozenset[str]:
    rows = releases.of(Installer.DEVSTACK)
    return frozenset(release for release, row in rows.items() if option in row.options)


def _releases_without_ovn() -> frozenset[str]:
    rows = releases.of(Installer.DEVSTACK)
    return frozenset(release for release, row in rows.items() if row.network_modes[0] != "ovn")


def _releases_in(first: str, last: str) -> frozenset[str]:
    names = releases.of(Installer.DEVSTACK)
    return frozenset(name for name in names if known.is_in(name, first, last))
