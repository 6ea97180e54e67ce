"""Rules for the cloud that an instances.yaml describes: its services and versions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address

from stacklab.installers.opensdn.lint.instances import is_ipv4
from stacklab.installers.opensdn.lint.read import Instances
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.readers import yaml_tree
from stacklab.lint.readers.yaml_tree import YamlEntry, line_of
from stacklab.model.release import Release
from stacklab.words import nearest

_AT = "tf-ansible-deployer@31eb9b7:playbooks/roles"
_SET = f"{_AT}/opensdn_deployer/tasks/set_contrail_variables.yml"
_KOLLA = f"{_AT}/kolla_deployer/tasks/create_kolla_playbooks.yml"
RULES = (
    # What is brought up.
    rule(
        "opensdn-no-openstack",
        "a cloud without an instance for OpenStack",
        f"{_SET}: openstack_nodes_list",
    ),
    rule("opensdn-vip", "haproxy without an address", f"{_SET}: openstack_internal_vip"),
    rule(
        "opensdn-orchestrator", "an unknown CLOUD_ORCHESTRATOR", f"{_SET}: supported_orchestrators"
    ),
    # Where services look for each other.
    rule("opensdn-nodes", "a list of nodes that are not instances", f"{_AT}/opensdn_deployer"),
    # Versions.
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
# An instances.yaml that has one of these describes a cluster with its controllers.
_OF_CONTROLLERS = frozenset(
    {"analytics", "analytics_database", "config", "config_database", "control", "webui"}
)
# These services may be on machines that are not instances.
_ELSEWHERE = frozenset({"TSN_NODES", "DNS_NODES"})


def check(file: Instances) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    yield from _check_orchestrator(file)
    if file.is_openstack:
        yield from _check_openstack(file)
        yield from _check_virtual_address(file)
    yield from _check_nodes(file)
    yield from _check_old_version_key(file)
    yield from _check_kolla_mode(file)
    yield from _check_version(file)


def _check_orchestrator(file: Instances) -> Iterator[Finding]:
    orchestrator = file.known_option("CLOUD_ORCHESTRATOR")
    if orchestrator is None or orchestrator.text in _ORCHESTRATORS:
        return
    meant = nearest(orchestrator.text, _ORCHESTRATORS) or "openstack"
    yield _BOOK.finding(
        "opensdn-orchestrator",
        file.name,
        orchestrator.line,
        effect=f"the playbooks stop: CLOUD_ORCHESTRATOR must be one of {', '.join(_ORCHESTRATORS)}",
        fix=f"CLOUD_ORCHESTRATOR: {meant}",
    )


def _check_openstack(file: Instances) -> Iterator[Finding]:
    # Either role brings keystone.
    has_control_plane = bool({"openstack", "openstack_control"} & file.roles)
    if not file.instances or has_control_plane:
        return
    yield _BOOK.finding(
        "opensdn-no-openstack",
        file.name,
        line=line_of(file.section("instances")),
        effect="keystone is not installed, and the group `control` is empty: none of the "
        "instances has the role openstack",
        fix="write `openstack:` below the controller's roles",
    )


def _check_virtual_address(file: Instances) -> Iterator[Finding]:
    settings = file.section("kolla_config", "kolla_globals")
    haproxy = settings.get("enable_haproxy") if settings else None
    # kolla-ansible enables haproxy unless it is told otherwise (ansible/group_vars/all).
    is_on = haproxy is None or haproxy.text.lower() in ("yes", "on", "1", "true")
    has_address = settings is not None and settings.get("kolla_internal_vip_address") is not None
    if not is_on or has_address:
        return
    yield _BOOK.finding(
        "opensdn-vip",
        file.name,
        line=line_of(haproxy or settings),
        effect="the playbooks stop: haproxy, which is on by default, needs a "
        "kolla_internal_vip_address",
        fix="write `enable_haproxy: no` below kolla_config and kolla_globals, or a "
        "kolla_internal_vip_address",
    )


def _check_nodes(file: Instances) -> Iterator[Finding]:
    known = file.addresses
    lab = file.scope.lab
    if lab is not None:
        # Services may look for each other on any network of the lab.
        known |= {str(nic.address.ip) for node in lab.nodes for nic in node.nics}
    section = file.section("contrail_configuration")
    if section is None or not known:
        return
    # Nodes that join a cluster name controllers that are not instances here.
    if lab is None and file.instances and not file.roles & _OF_CONTROLLERS:
        return
    for entry in section.items:
        is_list_of_nodes = _NODES.fullmatch(entry.key) and entry.key not in _ELSEWHERE
        if is_list_of_nodes and not entry.is_template:
            yield from _check_node_list(file, entry, known)


def _check_node_list(file: Instances, entry: YamlEntry, known: set[str]) -> Iterator[Finding]:
    if entry.kind == "seq":
        joined = ", ".join(item.value for item in entry.node.value).replace(" ", "")
        yield _BOOK.finding(
            "opensdn-nodes",
            file.name,
            entry.line,
            effect=f"{entry.key} is a YAML list, so containers get its text with the brackets",
            fix=f'{entry.key}: "{joined}"',
        )
        return
    words = [word for word in re.split(r"[,\s]+", entry.text) if word]
    foreign = [word for word in words if word not in known]
    if not foreign or _may_be_second_network(file, foreign):
        return
    yield _BOOK.finding(
        "opensdn-nodes",
        file.name,
        entry.line,
        effect=f"services look for each other on {foreign[0]}, which is not an instance's address",
        fix=f'{entry.key}: "{",".join(sorted(known))}", or some of these',
    )


def _may_be_second_network(file: Instances, words: list[str]) -> bool:
    """Return True if they may be addresses on another network; only a lab could tell."""
    if file.scope.lab is not None:
        return False
    for word in words:
        if not is_ipv4(word):
            return False
    # Instances on one network usually share the first 24 bits.
    known_networks = {_first_24_bits(text) for text in file.addresses if is_ipv4(text)}
    networks = {_first_24_bits(word) for word in words}
    return networks.isdisjoint(known_networks)


def _first_24_bits(address: str) -> int:
    return int(IPv4Address(address)) >> 8


def _check_old_version_key(file: Instances) -> Iterator[Finding]:
    old = file.option("CONTRAIL_VERSION")
    new = file.option("CONTRAIL_CONTAINER_TAG")
    era = file.scope.era
    # Contrail's own deployer knew the tag by no other name, and `latest` may be one of its tags.
    may_be_contrails = era is not None and not (era.is_in_table and era.is_certain)
    if old is None or may_be_contrails:
        return
    # The playbooks look for the old name only where the new one is missing.
    if new is None:
        effect = "CONTRAIL_VERSION is the old name of CONTRAIL_CONTAINER_TAG, and is taken for it"
        fix = f"CONTRAIL_CONTAINER_TAG: {old.text}"
    else:
        effect = f"it is ignored, as CONTRAIL_CONTAINER_TAG is in line {new.line}"
        fix = "remove the line"
    yield _BOOK.finding("opensdn-old-version-key", file.name, old.line, effect, fix)


def _check_kolla_mode(file: Instances) -> Iterator[Finding]:
    mode = file.known_option("KOLLA_MODE")
    if mode is None or mode.text in _MODES:
        return
    meant = nearest(mode.text, _MODES) or "vanilla"
    yield _BOOK.finding(
        "opensdn-kolla-mode",
        file.name,
        mode.line,
        effect=f"the playbooks take {mode.text or 'an empty mode'} for patched; the modes are "
        f"patched and vanilla",
        fix=f"KOLLA_MODE: {meant}",
    )


def _check_version(file: Instances) -> Iterator[Finding]:
    version = file.known_option("OPENSTACK_VERSION")
    if version is None:
        return
    if version.kind == "float":
        yield _find_number(file, version)
    mode = file.option("KOLLA_MODE")
    # Which versions are known depends on the mode: an unknown one has its own finding.
    if mode is None:
        yield from _check_version_of_mode(file, version, "patched")
    elif mode.text in _MODES:
        yield from _check_version_of_mode(file, version, mode.text)


def _find_number(file: Instances, version: YamlEntry) -> Finding:
    """Return the finding about a version without quotes: YAML reads 2025.10 as 2025.1."""
    read = yaml_tree.changed(version)
    effect = f"YAML reads it as the number {read}" if read else "YAML reads it as a number"
    return _BOOK.finding(
        "opensdn-version-number",
        file.name,
        version.line,
        effect=f"{effect}, and with ansible-core 2.19 or newer the playbooks stop, because they do "
        f"not find a branch for it",
        fix=f'OPENSTACK_VERSION: "{version.text}"',
    )


def _check_version_of_mode(file: Instances, version: YamlEntry, mode: str) -> Iterator[Finding]:
    """Yield a finding if a release has no branch of kolla-ansible for that OpenStack."""
    if file.release is None:
        return
    known = _versions_of(file.release, mode)
    if not known or version.text in known:
        return
    fix = f"write one of {', '.join(known)}"
    other_mode = "patched" if mode == "vanilla" else "vanilla"
    if version.text in _versions_of(file.release, other_mode):
        fix += f"; or KOLLA_MODE: {other_mode}"
    yield _BOOK.finding(
        "opensdn-version",
        file.name,
        version.line,
        effect=f"the playbooks stop: in mode {mode}, {file.release.name} does not know a branch of "
        f"kolla-ansible for {version.text or 'an empty version'}",
        fix=fix,
    )


def _versions_of(release: Release, mode: str) -> list[str]:
    # In the table they are VERSION=BRANCH.
    return [word.partition("=")[0] for word in release.words(mode)]
