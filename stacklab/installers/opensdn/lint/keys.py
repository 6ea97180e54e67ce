"""Rules for keys that the playbooks do not read: misspelt, or at another place."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from stacklab import facts
from stacklab.installers.opensdn.lint.read import Instances
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.lint.readers.yaml_tree import YamlEntry
from stacklab.paths.project import PROJECT

TABLE = PROJECT / "localrc" / "opensdn" / "names.yaml"
_AT = "tf-ansible-deployer@31eb9b7:playbooks/roles"
RULES = (
    rule("opensdn-section", "a section that the playbooks do not read", f"{_AT}/opensdn_deployer"),
    rule(
        "opensdn-unknown-key",
        "a key that is nearly one of those that are read there",
        f"{_AT}; tf-container-builder@701b232:containers",
    ),
)
_BOOK = Book(RULES)
_SECTIONS = (
    "provider_config",
    "instances",
    "global_configuration",
    "contrail_configuration",
    "default_configuration",
    "kolla_config",
    "remote_locations",
    "contrail_ansible_environment",
    "orchestrator",
)
_OF_KOLLA = ("kolla_globals", "kolla_passwords", "customize")
_GLOBAL = frozenset(
    {
        "CONTAINER_REGISTRY",
        "CONTAINER_REGISTRY_PASSWORD",
        "CONTAINER_REGISTRY_USERNAME",
        "ENABLE_DESTROY",
        "REGISTRY_PRIVATE_INSECURE",
        "REGISTRY_PRIVATE_SECURE",
        "SITE_MIRROR",
    }
)
_ALIKE = 0.8  # people have keys of their own; a misspelt one is nearer


@functools.cache
def known_keys(path: Path = TABLE) -> Mapping[str, frozenset[str]]:
    """Return the keys that are read at a place: provider, instance or configuration."""
    table = facts.read(path)
    return MappingProxyType({place: frozenset(text.split()) for place, text in table.items()})


def check(file: Instances) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    yield from _check_sections(file)
    providers = file.section("provider_config")
    for provider in providers.items if providers else ():
        yield from _check_place(file, "provider", provider)
    for instance in file.instances:
        yield from _check_place(file, "instance", instance)
    configuration = file.section("contrail_configuration")
    # What the containers of another release take from their environment is not known.
    era = file.scope.era
    if configuration is not None and (era is None or era.is_in_table):
        yield from _check_place(file, "configuration", configuration)
    elif configuration is not None:
        yield from _check_hosts(file, configuration)
    kolla = file.section("kolla_config")
    nearest = Near(_OF_KOLLA, cutoff=_ALIKE)
    for entry in kolla.items if kolla else ():
        if entry.key not in _OF_KOLLA and nearest(entry.key):
            yield _describe_key(file, entry, nearest(entry.key))


def _check_sections(file: Instances) -> Iterator[Finding]:
    """Yield sections that nothing reads, if they can't be somebody's own variables."""
    nearest_section = Near(_SECTIONS, cutoff=0.88)
    for entry in file.root.items:
        if entry.key in _SECTIONS:
            continue
        fix = ""
        if entry.key in _OF_KOLLA[:2]:
            fix = f"write it below kolla_config:, as {entry.key}:"
        elif entry.key in _GLOBAL:
            fix = "write it below global_configuration:"
        elif entry.key.isupper() and entry.key in known_keys()["configuration"]:
            fix = "write it below contrail_configuration:"
        elif nearest_section(entry.key):
            fix = f"write {nearest_section(entry.key)}:"
        if fix:
            yield _BOOK.finding(
                "opensdn-section",
                file.name,
                entry.line,
                effect=f"the playbooks do not read {entry.key} here",
                fix=fix,
            )


def _check_place(file: Instances, place: str, section: YamlEntry) -> Iterator[Finding]:
    """Yield keys of a section that are nearly one of those that are read there."""
    known = known_keys()[place]
    nearest = Near(known, cutoff=_ALIKE)
    for entry in section.items:
        if entry.key in known:
            continue
        near = _find_host_key(entry.key, known) or nearest(entry.key)
        if near:
            yield _describe_key(file, entry, near)


def _check_hosts(file: Instances, section: YamlEntry) -> Iterator[Finding]:
    """Yield keys that mean the one with _HOST, which every release has had."""
    known = known_keys()["configuration"]
    for entry in section.items:
        near = _find_host_key(entry.key, known)
        if near and entry.key not in known:
            yield _describe_key(file, entry, near)


def _find_host_key(name: str, known: frozenset[str]) -> str:
    """Return IPFABRIC_SERVICE_HOST for IPFABRIC_SERVICE_IP: by letters _PORT would be nearer."""
    host = f"{name.removesuffix('_IP')}_HOST"
    return host if name.endswith("_IP") and host in known else ""


def _describe_key(file: Instances, entry: YamlEntry, near: str) -> Finding:
    return _BOOK.finding(
        "opensdn-unknown-key",
        file.name,
        entry.line,
        effect=f"neither the playbooks nor the containers read {entry.key}",
        fix=f"write {near}",
    )
