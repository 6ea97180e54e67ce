"""Rules for the instances: their providers, addresses and roles, and how Ansible logs in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from stacklab.installers.opensdn.lint.read import Instances
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.words import nearest

_AT = "tf-ansible-deployer@31eb9b7:playbooks/roles"
_HOSTS = f"{_AT}/opensdn_deployer/tasks/create_container_host_group.yml"
RULES = (
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
    warning("opensdn-no-login", "no provider_config.bms", f"{_HOSTS}: without user/pwd/key"),
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
            "there are no instances: the playbooks stop",
            "write `instances:`, and below it a mapping per machine",
        )
    for each in file.instances:
        provider = each.get("provider")
        if provider is None or provider.text not in _PROVIDERS:
            what = f"no provider is called {provider.text!r}" if provider else "it has no provider"
            near = nearest(provider.text, _PROVIDERS) if provider else ""
            yield _BOOK.finding(
                "opensdn-instance",
                file.name,
                provider.line if provider else each.line,
                f"{each.key}: {what}: the playbooks {'pass it over' if provider else 'stop'}",
                f"provider: {near or 'bms'}",
            )
        elif provider.text in _ADDRESSED and each.get("ip") is None:
            yield _BOOK.finding(
                "opensdn-instance",
                file.name,
                each.line,
                f"{each.key} has no ip: the playbooks stop",
                "write `ip: ADDRESS` below it",
            )


def _addresses(file: Instances) -> Iterator[Finding]:
    lab = file.scope.lab
    owners = (
        {str(nic.address.ip): node.name for node in lab.nodes for nic in node.nics} if lab else {}
    )
    seen: dict[str, str] = {}
    for each in file.instances:
        entry = each.get("ip")
        if entry is None or entry.is_template or not entry.text:
            continue
        first = seen.setdefault(entry.text, each.key)
        if first != each.key:
            yield _BOOK.finding(
                "opensdn-duplicate-address",
                file.name,
                entry.line,
                f"{first} has {entry.text}, too: Ansible makes one host of both, and one's roles "
                f"are lost",
                "give each its own, or write all roles into one instance",
            )
        if lab is not None and entry.text not in owners:
            yield _BOOK.finding(
                "opensdn-foreign-address",
                file.name,
                entry.line,
                f"{entry.text} is no node's of lab {lab.name}: Ansible cannot log in there",
                f"write one of {', '.join(f'{ip} ({name})' for ip, name in owners.items())}",
            )
        elif not is_address(entry.text):
            yield _BOOK.finding(
                "opensdn-instance",
                file.name,
                entry.line,
                f"{entry.text} is no address; node lists are made of it",
                "write an address, no name",
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
    for each in file.instances:
        roles = each.get("roles")
        if roles is None or roles.kind == "null":
            yield _BOOK.finding(
                "opensdn-no-roles",
                file.name,
                roles.line if roles else each.line,
                f"nothing is installed on {each.key}: it has no role",
                "write `roles:`, and below it e.g. `vrouter:`",
            )
        elif roles.kind != "map":
            yield _BOOK.finding(
                "opensdn-role-list",
                file.name,
                roles.line,
                "the playbooks stop: roles are keys of a mapping, not a list",
                "write each as `vrouter:`, without a -",
            )
        for role in roles.items if roles else ():
            if role.key not in _ROLES and not _INDEXED.fullmatch(role.key):
                near = nearest_role(role.key)
                yield _BOOK.finding(
                    "opensdn-unknown-role",
                    file.name,
                    role.line,
                    f"nothing is installed for the role {role.key}",
                    f"write {near}:"
                    if near
                    else f"remove the line, or write one of {', '.join(_USUAL)}",
                )
            elif role.kind not in ("null", "map"):
                yield _BOOK.finding(
                    "opensdn-role-value",
                    file.name,
                    role.line,
                    f"{role.key} is installed whatever its value says: only that the key is there "
                    f"counts",
                    f"remove the line, or write `{role.key}:`",
                )


def is_ipv4(text: str) -> bool:
    """Return True for an IPv4 address."""
    return is_address(text) and ":" not in text


def _login(file: Instances) -> Iterator[Finding]:
    is_bms = any(
        provider.text == "bms" for each in file.instances if (provider := each.get("provider"))
    )
    login = file.section("provider_config", "bms")
    if is_bms and (login is None or not login.items):
        yield _BOOK.finding(
            "opensdn-no-login",
            file.name,
            login.line if login else 0,
            "there is no provider_config.bms: Ansible logs in as whoever runs it, with that user's "
            "own keys",
            "write provider_config:, below it bms:, and there ssh_user and ssh_private_key",
        )
        return
    for place in (login, *file.instances):
        password, key = (
            (place.get("ssh_pwd"), place.get("ssh_private_key")) if place else (None, None)
        )
        if password is not None and password.text and key is not None and key.text:
            yield _BOOK.finding(
                "opensdn-plain-password",
                file.name,
                password.line,
                "a password in plain text is not needed beside ssh_private_key; and Ansible then "
                "wants sshpass",
                "remove ssh_pwd",
            )
