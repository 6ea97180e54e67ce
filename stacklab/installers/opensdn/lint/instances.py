"""Rules for the instances: their providers, addresses and roles, and how Ansible logs in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from stacklab.installers.opensdn.lint.read import Instances
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.lint.yaml_tree import YamlEntry
from stacklab.words import nearest

_AT = "tf-ansible-deployer@31eb9b7:playbooks/roles"
_HOSTS = f"{_AT}/opensdn_deployer/tasks/create_container_host_group.yml"
RULES = (
    rule(
        "opensdn-no-instances",
        "a file without instances",
        f"{_AT}/opensdn_deployer/tasks/build_node_lists.yml",
    ),
    rule("opensdn-instance", "an instance without provider or address", _HOSTS),
    rule("opensdn-duplicate-address", "two instances with one address", f"{_HOSTS}: add_host"),
    rule("opensdn-foreign-address", "an address that is not a node's", "the lab"),
    rule(
        "opensdn-unknown-role",
        "a role that the playbooks do not install",
        f"{_AT}/opensdn/tasks/main.yml",
    ),
    rule(
        "opensdn-role-list",
        "roles that are not a mapping",
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
    warning("opensdn-no-login", "a missing provider_config.bms", f"{_HOSTS}: without user/pwd/key"),
    warning("opensdn-plain-password", "a password beside a key", f"{_HOSTS}: ansible_ssh_pass"),
)
_BOOK = Book(RULES)
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


def check(file: Instances) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    for rule_check in (_instances, _addresses, _roles, _login):
        yield from rule_check(file)


def _instances(file: Instances) -> Iterator[Finding]:
    if not file.instances:
        section = file.section("instances")
        yield _BOOK.finding(
            "opensdn-no-instances",
            file.name,
            section.line if section else 0,
            "the playbooks stop: the file does not name any instance",
            "write `instances:`, and below it a mapping per machine",
        )
    for instance in file.instances:
        provider = instance.get("provider")
        if provider is None:
            effect = f"the playbooks stop: {instance.key} does not name a provider"
            yield _BOOK.finding(
                "opensdn-instance", file.name, instance.line, effect, "provider: bms"
            )
        elif provider.text not in _PROVIDERS:
            yield _BOOK.finding(
                "opensdn-instance",
                file.name,
                provider.line,
                f"the playbooks pass over {instance.key}: they do not know a provider "
                f"{provider.text!r}",
                f"provider: {nearest(provider.text, _PROVIDERS) or 'bms'}",
            )
        elif provider.text in _ADDRESSED and instance.get("ip") is None:
            yield _BOOK.finding(
                "opensdn-instance",
                file.name,
                instance.line,
                f"the playbooks stop: {instance.key} does not have an ip",
                "write `ip: ADDRESS` below it",
            )


def _addresses(file: Instances) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for instance in file.instances:
        entry = instance.get("ip")
        if entry is None or entry.is_template or not entry.text:
            continue
        first = seen.setdefault(entry.text, instance.key)
        if first != instance.key:
            yield _BOOK.finding(
                "opensdn-duplicate-address",
                file.name,
                entry.line,
                f"Ansible takes {first} and {instance.key} for one host, and the roles of one "
                f"are lost: both have {entry.text}",
                "give each its own, or write all roles into one instance",
            )
        yield from _address(file, entry)


def _address(file: Instances, entry: YamlEntry) -> Iterator[Finding]:
    lab = file.scope.lab
    if lab is None:
        if not is_address(entry.text):
            yield _BOOK.finding(
                "opensdn-instance",
                file.name,
                entry.line,
                f"{entry.text} is not an address, and the lists of nodes are made of it",
                "write an address instead of a name",
            )
        return
    owners = {str(nic.address.ip): node.name for node in lab.nodes for nic in node.nics}
    if entry.text not in owners:
        yield _BOOK.finding(
            "opensdn-foreign-address",
            file.name,
            entry.line,
            f"Ansible cannot log in to {entry.text}, which is not an address of a node of lab "
            f"{lab.name}",
            f"write one of {', '.join(f'{ip} ({name})' for ip, name in owners.items())}",
        )


def is_address(text: str) -> bool:
    """Return True for an IP address of either version."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _roles(file: Instances) -> Iterator[Finding]:
    nearest_role = Near(_ROLES)
    for instance in file.instances:
        roles = instance.get("roles")
        if roles is None or roles.kind == "null":
            yield _BOOK.finding(
                "opensdn-no-roles",
                file.name,
                roles.line if roles else instance.line,
                f"nothing is installed on {instance.key}, because it does not have a role",
                "write `roles:`, and below it e.g. `vrouter:`",
            )
            continue
        if roles.kind != "map":
            yield _BOOK.finding(
                "opensdn-role-list",
                file.name,
                roles.line,
                "the playbooks stop: roles must be the keys of a mapping, not a list",
                "write each as `vrouter:`, without a -",
            )
        for role in roles.items:
            yield from _role(file, role, nearest_role)


def _role(file: Instances, role: YamlEntry, nearest_role: Near) -> Iterator[Finding]:
    if role.key not in _ROLES and not _INDEXED.fullmatch(role.key):
        near = nearest_role(role.key)
        yield _BOOK.finding(
            "opensdn-unknown-role",
            file.name,
            role.line,
            f"nothing is installed for the unknown role {role.key}",
            f"write {near}:" if near else f"remove the line, or write one of {', '.join(_USUAL)}",
        )
    elif role.kind not in ("null", "map"):
        yield _BOOK.finding(
            "opensdn-role-value",
            file.name,
            role.line,
            f"{role.key} is installed whatever its value is, because the playbooks only look for "
            f"the key",
            f"remove the line, or write `{role.key}:`",
        )


def is_ipv4(text: str) -> bool:
    """Return True for an IPv4 address."""
    return is_address(text) and ":" not in text


def _login(file: Instances) -> Iterator[Finding]:
    providers = [instance.get("provider") for instance in file.instances]
    is_bms = any(provider is not None and provider.text == "bms" for provider in providers)
    login = file.section("provider_config", "bms")
    if is_bms and (login is None or not login.items):
        yield _BOOK.finding(
            "opensdn-no-login",
            file.name,
            login.line if login else 0,
            "Ansible logs in as the user who runs it, with that user's keys, because "
            "provider_config.bms is missing",
            "write provider_config:, below it bms:, and there ssh_user and ssh_private_key",
        )
        return
    for place in (login, *file.instances):
        if place is not None:
            yield from _plain_password(file, place)


def _plain_password(file: Instances, place: YamlEntry) -> Iterator[Finding]:
    password, key = place.get("ssh_pwd"), place.get("ssh_private_key")
    if password is None or key is None or not (password.text and key.text):
        return
    yield _BOOK.finding(
        "opensdn-plain-password",
        file.name,
        password.line,
        "Ansible needs sshpass because of the password, though ssh_private_key is enough",
        "remove ssh_pwd",
    )
