"""The providers, by the word in a lab's record; and records whose handles were checked."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from stacklab import record
from stacklab.errors import LabError, ProviderError
from stacklab.model.lab import Lab, NodeKind
from stacklab.paths import LabPaths
from stacklab.providers.contract import HostServices, Provider, ProviderKind
from stacklab.record import LabRecord, RecordDamaged

# One line per provider: the word, and where its ProviderKind is, imported when first needed.
PROVIDERS: dict[str, str] = {
    "libvirt": "stacklab.providers.libvirt.kind:KIND",
    "containers": "stacklab.providers.containers.kind:KIND",
}
# The provider of new labs; that of an existing lab stands in its record.
DEFAULT = "libvirt"
CONTAINERS = "containers"


def provider_for(lab: Lab, default: str = DEFAULT) -> str:
    """Return the word of the provider that a new lab of these nodes gets."""
    return CONTAINERS if lab.of_kind(NodeKind.CONTAINER) else default


def kind(word: str) -> ProviderKind:
    """Return the provider of that word; raises ProviderError listing those that are known."""
    place = PROVIDERS.get(word)
    if place is None:
        known = ", ".join(sorted(PROVIDERS))
        raise ProviderError(
            f"{word!a} is not a provider (there are: {known})",
            hint="use the checkout that made the lab",
        )
    module, _, name = place.partition(":")
    # No provider is imported before a lab needs it: libvirt alone takes a tenth of a second.
    provider_kind: ProviderKind = getattr(importlib.import_module(module), name)
    return provider_kind


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
    all_as: str = "",
) -> LabRecord:
    """Make up a record for a lab of which nothing exists, with the handles that it will have."""
    return record.new(
        lab,
        paths,
        provider=provider,
        handles=kind(provider).new_handles(lab, paths),
        image=image,
        passed_over=passed_over,
        now=now,
        all_as=all_as,
    )


def grown_record(lab: Lab, paths: LabPaths, lab_record: LabRecord) -> LabRecord:
    """Return a lab's record with handles for the nodes and networks that it lacks."""
    handles = kind(lab_record.provider).new_handles(lab, paths)
    return record.grown(lab_record, lab, handles)


def has_stale_handle(lab: Lab, paths: LabPaths, lab_record: LabRecord) -> bool:
    """Return True if a node that is to be made is on record as a spec of before had it."""
    handles = kind(lab_record.provider).new_handles(lab, paths).nodes
    for node in lab_record.nodes:
        # A UUID is another one each time.
        wanted = {**handles.get(node.name, node.handle), "uuid": ""}
        if not node.is_created and {**node.handle, "uuid": ""} != wanted:
            return True
    return False


def read(paths: LabPaths) -> LabRecord | None:
    """Return the lab's record; None where nothing exists.

    Raises LabError when it can't be understood, or when it names what is not this lab's.
    Every caller that changes something by a record has to read it here.
    """
    try:
        lab_record = record.read(paths)
    except RecordDamaged as error:
        # Nobody can tell which provider's lab it was, so the hint names the commands of all.
        look = " and ".join(kind(word).look for word in PROVIDERS)
        raise RecordDamaged(paths, error.why, look=look) from error
    if lab_record is None:
        return None
    try:
        provider_kind = kind(lab_record.provider)
    except ProviderError as error:
        message = f"the record of lab {paths.name}: {error.message}"
        raise LabError(message, hint=error.hint) from error
    try:
        provider_kind.refuse_damaged(paths, lab_record)
    # A handle is what somebody's JSON holds: whatever a wrong type raises is damage, too.
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordDamaged(paths, error, look=provider_kind.look) from error
    return lab_record
