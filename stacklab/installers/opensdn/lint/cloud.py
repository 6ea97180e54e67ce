"""Rules for the cloud that an instances.yaml describes: its services and versions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address

from stacklab.installers.opensdn.lint.instances import is_ipv4
from stacklab.installers.opensdn.lint.read import Instances
from stacklab.lint import yaml_tree
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.yaml_tree import YamlEntry
from stacklab.model.release import Release
from stacklab.words import nearest

_AT = "tf-ansible-deployer@31eb9b7:playbooks/roles"
_SET = f"{_AT}/opensdn_deployer/tasks/set_contrail_variables.yml"
_KOLLA = f"{_AT}/kolla_deployer/tasks/create_kolla_playbooks.yml"
RULES = (
    rule(
        "opensdn-no-openstack",
        "a cloud without an instance for OpenStack",
        f"{_SET}: openstack_nodes_list",
    ),
    rule("opensdn-vip", "haproxy without an address", f"{_SET}: openstack_internal_vip"),
    rule(
        "opensdn-orchestrator", "an unknown CLOUD_ORCHESTRATOR", f"{_SET}: supported_orchestrators"
    ),
    rule("opensdn-nodes", "a list of nodes that are not instances", f"{_AT}/opensdn_deployer"),
    warning(
        "opensdn-old-version-key",
        "CONTRAIL_VERSION",
        f"{_AT}/opensdn_deployer/tasks/set_global_variables.yml",
    ),
    rule(
        "opensdn-version-number",
        "OPENSTACK_VERSION without quotes",
        f"{_KOLLA}: kolla_vanilla_tags",
    ),
    rule(
        "opensdn-version",
        "an OpenStack for which the deployer does not know a branch",
        f"{_KOLLA}: kolla_vanilla_tags",
    ),
    rule("opensdn-kolla-mode", "an unknown KOLLA_MODE", f"{_KOLLA}: kolla_mode"),
)
_BOOK = Book(RULES)
_MODES = ("patched", "vanilla")
_ORCHESTRATORS = ("openstack", "kubernetes", "none")
_NODES = re.compile(r"[A-Z_]+_NODES")
_ELSEWHERE = frozenset({"TSN_NODES", "DNS_NODES"})


def check(file: Instances) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    for rule_check in (_cloud, _nodes, _versions):
        yield from rule_check(file)


def _cloud(file: Instances) -> Iterator[Finding]:
    yield from _orchestrator(file)
    if file.is_openstack:
        yield from _openstack(file)
        yield from _virtual_address(file)


def _orchestrator(file: Instances) -> Iterator[Finding]:
    orchestrator = file.option("CLOUD_ORCHESTRATOR")
    if orchestrator is None or orchestrator.is_template or orchestrator.text in _ORCHESTRATORS:
        return
    yield _BOOK.finding(
        "opensdn-orchestrator",
        file.name,
        orchestrator.line,
        f"the playbooks stop: CLOUD_ORCHESTRATOR must be one of {', '.join(_ORCHESTRATORS)}",
        f"CLOUD_ORCHESTRATOR: {nearest(orchestrator.text, _ORCHESTRATORS) or 'openstack'}",
    )


def _openstack(file: Instances) -> Iterator[Finding]:
    if not file.instances or {"openstack", "openstack_control"} & file.roles:
        return
    section = file.section("instances")
    yield _BOOK.finding(
        "opensdn-no-openstack",
        file.name,
        section.line if section else 0,
        "keystone is not installed, and the group `control` is empty: none of the instances has "
        "the role openstack",
        "write `openstack:` below the controller's roles",
    )


def _virtual_address(file: Instances) -> Iterator[Finding]:
    settings = file.section("kolla_config", "kolla_globals")
    haproxy = settings.get("enable_haproxy") if settings else None
    # kolla-ansible enables haproxy unless it is told otherwise (ansible/group_vars/all).
    is_on = haproxy is None or haproxy.text.lower() in ("yes", "on", "1", "true")
    if not is_on or (settings and settings.get("kolla_internal_vip_address")):
        return
    place = haproxy or settings
    yield _BOOK.finding(
        "opensdn-vip",
        file.name,
        place.line if place else 0,
        "the playbooks stop: haproxy, which is on by default, needs a kolla_internal_vip_address",
        "write `enable_haproxy: no` below kolla_config and kolla_globals, or a "
        "kolla_internal_vip_address",
    )


def _nodes(file: Instances) -> Iterator[Finding]:
    known = file.addresses
    lab = file.scope.lab
    if lab is not None:
        known |= {str(nic.address.ip) for node in lab.nodes for nic in node.nics}
    section = file.section("contrail_configuration")
    if section is None or not known:
        return
    for entry in section.items:
        if _NODES.fullmatch(entry.key) and entry.key not in _ELSEWHERE and not entry.is_template:
            yield from _node_list(file, entry, known)


def _node_list(file: Instances, entry: YamlEntry, known: set[str]) -> Iterator[Finding]:
    if entry.kind == "seq":
        joined = ", ".join(item.value for item in entry.node.value).replace(" ", "")
        yield _BOOK.finding(
            "opensdn-nodes",
            file.name,
            entry.line,
            f"{entry.key} is a YAML list, so containers get its text with the brackets",
            f'{entry.key}: "{joined}"',
        )
        return
    words = [word for word in re.split(r"[,\s]+", entry.text) if word]
    foreign = [word for word in words if word not in known]
    if foreign and not _may_be_second_network(file, foreign):
        yield _BOOK.finding(
            "opensdn-nodes",
            file.name,
            entry.line,
            f"services look for each other on {foreign[0]}, which is not an instance's address",
            f'{entry.key}: "{",".join(sorted(known))}", or some of these',
        )


def _may_be_second_network(file: Instances, words: list[str]) -> bool:
    """Return True if they may be addresses on another network; only a lab could tell."""
    if file.scope.lab is not None or not all(is_ipv4(word) for word in words):
        return False
    # Instances on one network usually share the first 24 bits.
    known = {_first_24_bits(text) for text in file.addresses if is_ipv4(text)}
    return not any(_first_24_bits(word) in known for word in words)


def _first_24_bits(address: str) -> int:
    return int(IPv4Address(address)) >> 8


def _versions(file: Instances) -> Iterator[Finding]:
    yield from _old_version_key(file)
    mode, version = file.option("KOLLA_MODE"), file.option("OPENSTACK_VERSION")
    if mode is not None and not mode.is_template and mode.text not in _MODES:
        yield _BOOK.finding(
            "opensdn-kolla-mode",
            file.name,
            mode.line,
            f"the playbooks take {mode.text or 'an empty mode'} for patched; the modes are "
            f"patched and vanilla",
            f"KOLLA_MODE: {nearest(mode.text, _MODES) or 'vanilla'}",
        )
    if version is None or version.is_template:
        return
    if version.kind == "float":
        read = yaml_tree.changed(version)
        effect = f"YAML reads it as the number {read}" if read else "YAML reads it as a number"
        yield _BOOK.finding(
            "opensdn-version-number",
            file.name,
            version.line,
            f"{effect}, and with ansible-core 2.19 or newer the playbooks stop, because they do "
            f"not find a branch for it",
            f'OPENSTACK_VERSION: "{version.text}"',
        )
    if mode is None or mode.text in _MODES:
        yield from _version(file, version, mode.text if mode else "patched")


def _old_version_key(file: Instances) -> Iterator[Finding]:
    old, new = file.option("CONTRAIL_VERSION"), file.option("CONTRAIL_CONTAINER_TAG")
    if old is None:
        return
    effect = "CONTRAIL_VERSION is the old name of CONTRAIL_CONTAINER_TAG, and is taken for it"
    fix = f"CONTRAIL_CONTAINER_TAG: {old.text}"
    if new is not None:
        effect = f"it is ignored, as CONTRAIL_CONTAINER_TAG is in line {new.line}"
        fix = "remove the line"
    yield _BOOK.finding("opensdn-old-version-key", file.name, old.line, effect, fix)


def _version(file: Instances, version: YamlEntry, mode: str) -> Iterator[Finding]:
    """Yield a finding if a release has no branch of kolla-ansible for that OpenStack."""
    if file.release is None:
        return
    other_mode = "patched" if mode == "vanilla" else "vanilla"
    known = _versions_of(file.release, mode)
    if not known or version.text in known:
        return
    fix = f"write one of {', '.join(known)}"
    if version.text in _versions_of(file.release, other_mode):
        fix += f"; or KOLLA_MODE: {other_mode}"
    yield _BOOK.finding(
        "opensdn-version",
        file.name,
        version.line,
        f"the playbooks stop: in mode {mode}, {file.release.name} does not know a branch of "
        f"kolla-ansible for {version.text or 'an empty version'}",
        fix,
    )


def _versions_of(release: Release, mode: str) -> list[str]:
    # In the table they are VERSION=BRANCH.
    return [word.partition("=")[0] for word in release.words(mode)]
