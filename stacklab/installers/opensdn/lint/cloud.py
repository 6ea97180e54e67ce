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
from stacklab.words import nearest

_AT = "tf-ansible-deployer@31eb9b7:playbooks/roles"
_SET = f"{_AT}/opensdn_deployer/tasks/set_contrail_variables.yml"
_KOLLA = f"{_AT}/kolla_deployer/tasks/create_kolla_playbooks.yml"
RULES = (
    rule(
        "opensdn-no-openstack",
        "no instance with the role openstack",
        f"{_SET}: openstack_nodes_list",
    ),
    rule("opensdn-vip", "haproxy without an address", f"{_SET}: openstack_internal_vip"),
    rule(
        "opensdn-orchestrator", "an unknown CLOUD_ORCHESTRATOR", f"{_SET}: supported_orchestrators"
    ),
    rule("opensdn-nodes", "a list of nodes that are no instances", f"{_AT}/opensdn_deployer"),
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
        "an OpenStack that the deployer has no branch for",
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
    orchestrator = file.option("CLOUD_ORCHESTRATOR")
    if (
        orchestrator is not None
        and not orchestrator.is_template
        and orchestrator.text not in _ORCHESTRATORS
    ):
        yield _BOOK.finding(
            "opensdn-orchestrator",
            file.name,
            orchestrator.line,
            f"the playbooks stop: CLOUD_ORCHESTRATOR is one of {', '.join(_ORCHESTRATORS)}",
            f"CLOUD_ORCHESTRATOR: {nearest(orchestrator.text, _ORCHESTRATORS) or 'openstack'}",
        )
    if not file.is_openstack:
        return
    if file.instances and not {"openstack", "openstack_control"} & file.roles:
        section = file.section("instances")
        yield _BOOK.finding(
            "opensdn-no-openstack",
            file.name,
            section.line if section else 0,
            "no instance has the role openstack: there is no keystone, and the group `control` is "
            "empty",
            "write `openstack:` below the controller's roles",
        )
    settings = file.section("kolla_config", "kolla_globals")
    haproxy = settings.get("enable_haproxy") if settings else None
    is_on = haproxy is None or haproxy.text.lower() in ("yes", "on", "1", "true")
    if is_on and not (settings and settings.get("kolla_internal_vip_address")):
        yield _BOOK.finding(
            "opensdn-vip",
            file.name,
            haproxy.line if haproxy else settings.line if settings else 0,
            "the playbooks stop: haproxy is on where nothing else is said, and has no "
            "kolla_internal_vip_address",
            "write `enable_haproxy: no` below kolla_config and kolla_globals, or a "
            "kolla_internal_vip_address",
        )


def _nodes(file: Instances) -> Iterator[Finding]:
    known = {ip.text for each in file.instances if (ip := each.get("ip"))}
    lab = file.scope.lab
    if lab is not None:
        known |= {str(nic.address.ip) for node in lab.nodes for nic in node.nics}
    section = file.section("contrail_configuration")
    for entry in section.items if section and known else ():
        if not _NODES.fullmatch(entry.key) or entry.key in _ELSEWHERE or entry.is_template:
            continue
        if entry.kind == "seq":
            yield _BOOK.finding(
                "opensdn-nodes",
                file.name,
                entry.line,
                f"{entry.key} is a YAML list; containers are given its text, brackets and all",
                f'{entry.key}: "{", ".join(n.value for n in entry.node.value).replace(" ", "")}"',
            )
            continue
        foreign = [word for word in re.split(r"[,\s]+", entry.text) if word and word not in known]
        if foreign and not _may_be_second_network(file, foreign):
            yield _BOOK.finding(
                "opensdn-nodes",
                file.name,
                entry.line,
                f"{foreign[0]} is no instance's address: services look for each other there in vain",
                f'{entry.key}: "{",".join(sorted(known))}", or some of these',
            )


def _may_be_second_network(file: Instances, words: list[str]) -> bool:
    """Return True if they may be addresses on another network; only a lab could tell."""
    mine = [
        IPv4Address(ip.text)
        for each in file.instances
        if (ip := each.get("ip")) and is_ipv4(ip.text)
    ]
    same = [
        word
        for word in words
        if is_ipv4(word) and any(int(IPv4Address(word)) >> 8 == int(a) >> 8 for a in mine)
    ]
    return file.scope.lab is None and not same and all(map(is_ipv4, words))


def _versions(file: Instances) -> Iterator[Finding]:
    old, new = file.option("CONTRAIL_VERSION"), file.option("CONTRAIL_CONTAINER_TAG")
    if old is not None:
        effect = "it is taken for CONTRAIL_CONTAINER_TAG, whose old name it is"
        if new is not None:
            effect = f"it is ignored, as CONTRAIL_CONTAINER_TAG is in line {new.line}"
        fix = "remove the line" if new else f"CONTRAIL_CONTAINER_TAG: {old.text}"
        yield _BOOK.finding("opensdn-old-version-key", file.name, old.line, effect, fix)
    mode, version = file.option("KOLLA_MODE"), file.option("OPENSTACK_VERSION")
    if mode is not None and not mode.is_template and mode.text not in _MODES:
        yield _BOOK.finding(
            "opensdn-kolla-mode",
            file.name,
            mode.line,
            f"{mode.text or 'nothing'} is neither patched nor vanilla, and counts as patched",
            f"KOLLA_MODE: {nearest(mode.text, _MODES) or 'vanilla'}",
        )
    if version is None or version.is_template:
        return
    if version.kind == "float":
        read = yaml_tree.changed(version)
        effect = f"YAML reads it as the number {read}" if read else "it is a number to YAML"
        yield _BOOK.finding(
            "opensdn-version-number",
            file.name,
            version.line,
            f"{effect}; with ansible-core 2.19 or newer no branch is found for it, and the "
            f"playbooks stop",
            f'OPENSTACK_VERSION: "{version.text}"',
        )
    if mode is None or mode.text in _MODES:
        yield from _version(file, version, mode.text if mode else "patched")


def _version(file: Instances, version: YamlEntry, mode: str) -> Iterator[Finding]:
    if file.release is None:
        return
    known = [
        word.partition("=")[0]
        for word in file.release.words("vanilla" if mode == "vanilla" else "patched")
    ]
    if not known or version.text in known:
        return
    other = [
        word.partition("=")[0]
        for word in file.release.words("patched" if mode == "vanilla" else "vanilla")
    ]
    fix = f"write one of {', '.join(known)}"
    if version.text in other:
        fix += f"; or KOLLA_MODE: {'patched' if mode == 'vanilla' else 'vanilla'}"
    yield _BOOK.finding(
        "opensdn-version",
        file.name,
        version.line,
        f"{file.release.name} has no branch of kolla-ansible for {version.text or 'it'} in mode "
        f"{mode}: "
        "the playbooks stop",
        fix,
    )
