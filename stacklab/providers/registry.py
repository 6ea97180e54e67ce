"""The providers, by the word in a lab's record; and records whose handles were looked at."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from stacklab import record
from stacklab.errors import LabError, ProviderError
from stacklab.model.lab import Lab
from stacklab.paths import LabPaths
from stacklab.providers.contract import HostServices, Provider, ProviderKind
from stacklab.record import LabRecord, RecordDamaged

# One line per provider: the word, and where its ProviderKind is, imported when first needed.
PROVIDERS: dict[str, str] = {
    "libvirt": "stacklab.providers.libvirt.kind:KIND",
}
# Of new labs; that of an existing lab stands in its record.
DEFAULT = "libvirt"


def kind(word: str) -> ProviderKind:
    """Return the provider of that word; raises ProviderError listing those that are known."""
    place = PROVIDERS.get(word)
    if place is None:
        raise ProviderError(
            f"{word!a} is not a provider (there are: {', '.join(sorted(PROVIDERS))})",
            hint="use the checkout that made the lab",
        )
    module, _, name = place.partition(":")
    found: ProviderKind = getattr(importlib.import_module(module), name)
    return found


def open_provider(word: str, site: HostServices) -> Provider:
    """Return the provider of that word on this host."""
    return kind(word).open(site)


def new_record(
    lab: Lab,
    paths: LabPaths,
    *,
    image: str,
    passed_over: Mapping[str, str],
    now: float,
    provider: str = DEFAULT,
) -> LabRecord:
    """Make up a record for a lab of which nothing exists, with handles never used before."""
    return record.new(
        lab,
        paths,
        provider=provider,
        handles=kind(provider).new_handles(lab, paths),
        image=image,
        passed_over=passed_over,
        now=now,
    )


def read(paths: LabPaths) -> LabRecord | None:
    """Return the lab's record; None where nothing exists.

    Raises LabError when it can't be understood, or names what is not this lab's: nothing
    obeys a record that was not read here.
    """
    try:
        found = record.read(paths)
    except RecordDamaged as error:
        # Nobody knows whose lab it was.
        look = " and ".join(kind(word).look for word in PROVIDERS)
        raise RecordDamaged(paths, error.why, look=look) from error
    if found is None:
        return None
    try:
        its_kind = kind(found.provider)
    except ProviderError as error:
        raise LabError(
            f"the record of lab {paths.name}: {error.message}", hint=error.hint
        ) from error
    try:
        its_kind.refuse_damaged(paths, found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordDamaged(paths, error, look=its_kind.look) from error
    return found
