"""Rules for the instances.yaml of OpenSDN's tf-ansible-deployer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from stacklab import releases
from stacklab.lint import yaml_tree
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.lint.scope import Scope, Source
from stacklab.lint.yaml_tree import Entry
from stacklab.model.stack import Installer
from stacklab.releases import Release
from stacklab.words import nearest

_AT = "tf-ansible-deployer@31eb9b7:playbooks/roles"
_HOSTS = f"{_AT}/opensdn_deployer/tasks/create_container_host_group.yml"
_SET = f"{_AT}/opensdn_deployer/tasks/set_contrail_variables.yml"
_KOLLA = f"{_AT}/kolla_deployer/tasks/create_kolla_playbooks.yml"
RULES = (
    rule("opensdn-yaml", "no YAML, or no mapping", "YAML 1.1, as PyYAML reads it"),
    warning(
        "opensdn-duplicate-key",
        "a key that is given twice",
        "ansible-core: `Using last defined value only`",
    ),
    rule("opensdn-section", "a section that nothing reads", f"{_AT}/opensdn_deployer"),
    rule(
        "opensdn-no-instances", "no instances", f"{_AT}/opensdn_deployer/tasks/build_node_lists.yml"
    ),
    rule("opensdn-instance", "an instance without provider or address", _HOSTS),
    rule("opensdn-duplicate-address", "two instances with one address", f"{_HOSTS}: add_host"),
    rule("opensdn-foreign-address", "an address that is no node's", "the lab"),
    rule("opensdn-unknown-role", "a role that nothing installs", f"{_AT}/opensdn/tasks/main.yml"),
    rule(
        "opensdn-role-list",
        "roles that are no mapping",
        "tf-ansible-deployer: filter extract_roles",
    ),
    rule(
        "opensdn-role-value", "a role with a value", f"{_AT}/opensdn/tasks/main.yml: `is defined`"
    ),
    rule(
        "opensdn-no-roles",
        "an instance without a role",
        f"{_AT}/opensdn/tasks/main.yml: `is defined`",
    ),
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
    warning("opensdn-no-login", "no provider_config.bms", f"{_HOSTS}: without user/pwd/key"),
    warning("opensdn-plain-password", "a password beside a key", f"{_HOSTS}: ansible_ssh_pass"),
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
_ROLES = (
    "analytics",
    "analytics_alarm",
    "analytics_database",
    "analytics_snmp",
    "config",
    "config_database",
    "control",
    "control_only",
    "webui",
    "vrouter",
    "kubemanager",
    "k8s_master",
    "k8s_node",
    "openstack",
    "openstack_control",
    "openstack_network",
    "openstack_storage",
    "openstack_monitoring",
    "openstack_compute",
    "openstack_compute_legacy",
    "tsn_haproxy",
)
_USUAL = (
    "config",
    "config_database",
    "control",
    "webui",
    "analytics",
    "vrouter",
    "openstack",
    "openstack_compute",
)
_INDEXED = re.compile(r"toragent(_\w+)?")
_PROVIDERS = ("bms", "kvm", "gce", "aws")
_ADDRESSED = ("bms", "kvm")  # the clouds' instances are asked for theirs
_MODES = ("patched", "vanilla")
_ORCHESTRATORS = ("openstack", "kubernetes", "none")
_NODES = re.compile(r"[A-Z_]+_NODES")
_ELSEWHERE = frozenset({"TSN_NODES", "DNS_NODES"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """The file, and whose it is."""

    file: str
    root: Entry
    scope: Scope
    release: Release | None

    def section(self, *names: str) -> Entry | None:
        """The entry at the end of a path."""
        entry: Entry | None = self.root
        for name in names:
            entry = entry.get(name) if entry is not None else None
        return entry

    def option(self, name: str) -> Entry | None:
        """A key of contrail_configuration."""
        return self.section("contrail_configuration", name)

    @property
    def instances(self) -> tuple[Entry, ...]:
        """The instances, in the file's order."""
        section = self.section("instances")
        return section.items if section is not None else ()

    @property
    def is_openstack(self) -> bool:
        """Whether an OpenStack is to be installed, as far as the file tells."""
        orchestrator = self.option("CLOUD_ORCHESTRATOR")
        if orchestrator is not None:
            return orchestrator.text == "openstack"
        return self.section("kolla_config") is not None or any(
            "openstack" in role for role in self.roles
        )

    @property
    def roles(self) -> frozenset[str]:
        """Every role of any instance."""
        return frozenset(
            role.key
            for each in self.instances
            if (roles := each.get("roles"))
            for role in roles.items
        )


def lint(source: Source, scope: Scope) -> Iterator[Finding]:
    """Every finding in an instances.yaml."""
    root = yaml_tree.mapping(source, _BOOK, "opensdn-yaml", "`instances:`")
    if isinstance(root, Finding):
        yield root
        return
    known = releases.of(Installer.OPENSDN)
    release = scope.release if scope.release is not None else next(iter(known.values()), None)
    scene = _Scene(file=source.name, root=root, scope=scope, release=release)
    for each in (_keys, _instances, _addresses, _roles, _cloud, _nodes, _versions, _login):
        yield from each(scene)


def _keys(scene: _Scene) -> Iterator[Finding]:
    yield from yaml_tree.doubles(scene.root, _BOOK, "opensdn-duplicate-key", scene.file)
    nearest_section = Near(_SECTIONS, cutoff=0.88)
    for entry in scene.root.items:
        if entry.key not in _SECTIONS and (near := nearest_section(entry.key)):
            yield _BOOK.finding(
                "opensdn-section",
                scene.file,
                entry.line,
                f"no playbook reads {entry.key}",
                f"write {near}:",
            )


def _instances(scene: _Scene) -> Iterator[Finding]:
    if not scene.instances:
        section = scene.section("instances")
        yield _BOOK.finding(
            "opensdn-no-instances",
            scene.file,
            section.line if section else 0,
            "there are no instances: the playbooks stop",
            "write `instances:`, and below it a mapping per machine",
        )
    for each in scene.instances:
        provider = each.get("provider")
        if provider is None or provider.text not in _PROVIDERS:
            what = f"no provider is called {provider.text!r}" if provider else "it has no provider"
            near = nearest(provider.text, _PROVIDERS) if provider else ""
            yield _BOOK.finding(
                "opensdn-instance",
                scene.file,
                provider.line if provider else each.line,
                f"{each.key}: {what}: the playbooks {'pass it over' if provider else 'stop'}",
                f"provider: {near or 'bms'}",
            )
        elif provider.text in _ADDRESSED and each.get("ip") is None:
            yield _BOOK.finding(
                "opensdn-instance",
                scene.file,
                each.line,
                f"{each.key} has no ip: the playbooks stop",
                "write `ip: ADDRESS` below it",
            )


def _addresses(scene: _Scene) -> Iterator[Finding]:
    lab = scene.scope.lab
    owners = (
        {str(nic.address.ip): node.name for node in lab.nodes for nic in node.nics} if lab else {}
    )
    seen: dict[str, str] = {}
    for each in scene.instances:
        entry = each.get("ip")
        if entry is None or entry.is_template or not entry.text:
            continue
        first = seen.setdefault(entry.text, each.key)
        if first != each.key:
            yield _BOOK.finding(
                "opensdn-duplicate-address",
                scene.file,
                entry.line,
                f"{first} has {entry.text}, too: Ansible makes one host of both, and one's roles are lost",
                "give each its own, or write all roles into one instance",
            )
        if lab is not None and entry.text not in owners:
            yield _BOOK.finding(
                "opensdn-foreign-address",
                scene.file,
                entry.line,
                f"{entry.text} is no node's of lab {lab.name}: Ansible cannot log in there",
                f"write one of {', '.join(f'{ip} ({name})' for ip, name in owners.items())}",
            )
        elif not _is_address(entry.text):
            yield _BOOK.finding(
                "opensdn-instance",
                scene.file,
                entry.line,
                f"{entry.text} is no address; node lists are made of it",
                "write an address, no name",
            )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _roles(scene: _Scene) -> Iterator[Finding]:
    nearest_role = Near(_ROLES)
    for each in scene.instances:
        roles = each.get("roles")
        if roles is None or roles.kind == "null":
            yield _BOOK.finding(
                "opensdn-no-roles",
                scene.file,
                roles.line if roles else each.line,
                f"nothing is installed on {each.key}: it has no role",
                "write `roles:`, and below it e.g. `vrouter:`",
            )
        elif roles.kind != "map":
            yield _BOOK.finding(
                "opensdn-role-list",
                scene.file,
                roles.line,
                "the playbooks stop: roles are keys of a mapping, not a list",
                "write each as `vrouter:`, without a -",
            )
        for role in roles.items if roles else ():
            if role.key not in _ROLES and not _INDEXED.fullmatch(role.key):
                near = nearest_role(role.key)
                yield _BOOK.finding(
                    "opensdn-unknown-role",
                    scene.file,
                    role.line,
                    f"nothing is installed for the role {role.key}",
                    f"write {near}:"
                    if near
                    else f"remove the line, or write one of {', '.join(_USUAL)}",
                )
            elif role.kind not in ("null", "map"):
                yield _BOOK.finding(
                    "opensdn-role-value",
                    scene.file,
                    role.line,
                    f"{role.key} is installed whatever its value says: only that the key is there counts",
                    f"remove the line, or write `{role.key}:`",
                )


def _cloud(scene: _Scene) -> Iterator[Finding]:
    orchestrator = scene.option("CLOUD_ORCHESTRATOR")
    if (
        orchestrator is not None
        and not orchestrator.is_template
        and orchestrator.text not in _ORCHESTRATORS
    ):
        yield _BOOK.finding(
            "opensdn-orchestrator",
            scene.file,
            orchestrator.line,
            f"the playbooks stop: CLOUD_ORCHESTRATOR is one of {', '.join(_ORCHESTRATORS)}",
            f"CLOUD_ORCHESTRATOR: {nearest(orchestrator.text, _ORCHESTRATORS) or 'openstack'}",
        )
    if not scene.is_openstack:
        return
    if scene.instances and not {"openstack", "openstack_control"} & scene.roles:
        section = scene.section("instances")
        yield _BOOK.finding(
            "opensdn-no-openstack",
            scene.file,
            section.line if section else 0,
            "no instance has the role openstack: there is no keystone, and the group `control` is empty",
            "write `openstack:` below the controller's roles",
        )
    settings = scene.section("kolla_config", "kolla_globals")
    haproxy = settings.get("enable_haproxy") if settings else None
    is_on = haproxy is None or haproxy.text.lower() in ("yes", "on", "1", "true")
    if is_on and not (settings and settings.get("kolla_internal_vip_address")):
        yield _BOOK.finding(
            "opensdn-vip",
            scene.file,
            haproxy.line if haproxy else settings.line if settings else 0,
            "the playbooks stop: haproxy is on where nothing else is said, and has no kolla_internal_vip_address",
            "write `enable_haproxy: no` below kolla_config and kolla_globals, or a kolla_internal_vip_address",
        )


def _nodes(scene: _Scene) -> Iterator[Finding]:
    known = {ip.text for each in scene.instances if (ip := each.get("ip"))}
    lab = scene.scope.lab
    if lab is not None:
        known |= {str(nic.address.ip) for node in lab.nodes for nic in node.nics}
    section = scene.section("contrail_configuration")
    for entry in section.items if section and known else ():
        if not _NODES.fullmatch(entry.key) or entry.key in _ELSEWHERE or entry.is_template:
            continue
        if entry.kind == "seq":
            yield _BOOK.finding(
                "opensdn-nodes",
                scene.file,
                entry.line,
                f"{entry.key} is a YAML list; containers are given its text, brackets and all",
                f'{entry.key}: "{", ".join(n.value for n in entry.node.value).replace(" ", "")}"',
            )
            continue
        foreign = [word for word in re.split(r"[,\s]+", entry.text) if word and word not in known]
        if foreign and not _may_be_second_network(scene, foreign):
            yield _BOOK.finding(
                "opensdn-nodes",
                scene.file,
                entry.line,
                f"{foreign[0]} is no instance's address: services look for each other there in vain",
                f'{entry.key}: "{",".join(sorted(known))}", or some of these',
            )


def _may_be_second_network(scene: _Scene, words: list[str]) -> bool:
    """Whether they may be the instances' addresses on another network, which only a lab can tell."""
    mine = [
        IPv4Address(ip.text)
        for each in scene.instances
        if (ip := each.get("ip")) and _is_v4(ip.text)
    ]
    same = [
        word
        for word in words
        if _is_v4(word) and any(int(IPv4Address(word)) >> 8 == int(a) >> 8 for a in mine)
    ]
    return scene.scope.lab is None and not same and all(map(_is_v4, words))


def _is_v4(text: str) -> bool:
    return _is_address(text) and ":" not in text


def _versions(scene: _Scene) -> Iterator[Finding]:
    old, new = scene.option("CONTRAIL_VERSION"), scene.option("CONTRAIL_CONTAINER_TAG")
    if old is not None:
        effect = "it is taken for CONTRAIL_CONTAINER_TAG, whose old name it is"
        if new is not None:
            effect = f"it is ignored, as CONTRAIL_CONTAINER_TAG is in line {new.line}"
        fix = "remove the line" if new else f"CONTRAIL_CONTAINER_TAG: {old.text}"
        yield _BOOK.finding("opensdn-old-version-key", scene.file, old.line, effect, fix)
    mode, version = scene.option("KOLLA_MODE"), scene.option("OPENSTACK_VERSION")
    if mode is not None and not mode.is_template and mode.text not in _MODES:
        yield _BOOK.finding(
            "opensdn-kolla-mode",
            scene.file,
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
            scene.file,
            version.line,
            f"{effect}; with ansible-core 2.19 or newer no branch is found for it, and the playbooks stop",
            f'OPENSTACK_VERSION: "{version.text}"',
        )
    if mode is None or mode.text in _MODES:
        yield from _version(scene, version, mode.text if mode else "patched")


def _version(scene: _Scene, version: Entry, mode: str) -> Iterator[Finding]:
    if scene.release is None:
        return
    known = [
        word.partition("=")[0]
        for word in scene.release.words("vanilla" if mode == "vanilla" else "patched")
    ]
    if not known or version.text in known:
        return
    other = [
        word.partition("=")[0]
        for word in scene.release.words("patched" if mode == "vanilla" else "vanilla")
    ]
    fix = f"write one of {', '.join(known)}"
    if version.text in other:
        fix += f"; or KOLLA_MODE: {'patched' if mode == 'vanilla' else 'vanilla'}"
    yield _BOOK.finding(
        "opensdn-version",
        scene.file,
        version.line,
        f"{scene.release.name} has no branch of kolla-ansible for {version.text or 'it'} in mode {mode}: "
        "the playbooks stop",
        fix,
    )


def _login(scene: _Scene) -> Iterator[Finding]:
    is_bms = any(
        provider.text == "bms" for each in scene.instances if (provider := each.get("provider"))
    )
    login = scene.section("provider_config", "bms")
    if is_bms and (login is None or not login.items):
        yield _BOOK.finding(
            "opensdn-no-login",
            scene.file,
            login.line if login else 0,
            "there is no provider_config.bms: Ansible logs in as whoever runs it, with that user's own keys",
            "write provider_config:, below it bms:, and there ssh_user and ssh_private_key",
        )
        return
    for place in (login, *scene.instances):
        password, key = (
            (place.get("ssh_pwd"), place.get("ssh_private_key")) if place else (None, None)
        )
        if password is not None and password.text and key is not None and key.text:
            yield _BOOK.finding(
                "opensdn-plain-password",
                scene.file,
                password.line,
                "a password in plain text is not needed beside ssh_private_key; and Ansible then wants sshpass",
                "remove ssh_pwd",
            )
