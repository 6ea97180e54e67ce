"""Rules for the instances: their providers, addresses and roles, and how Ansible logs in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from stacklab.installers.opensdn.lint.read import Instances
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.lint.readers.yaml_tree import YamlEntry, line_of
from stacklab.model.lab import Lab
from stacklab.words import nearest

_AT = "tf-ansible-deployer@31eb9b7:playbooks/roles"
_HOSTS = f"{_AT}/opensdn_deployer/tasks/create_container_host_group.yml"
RULES = (
    # Instances and their addresses.
    rule(
        "opensdn-no-instances",
        "a file without instances",
        f"{_AT}/opensdn_deployer/tasks/build_node_lists.yml",
    ),
    rule("opensdn-instance", "an instance without provider or address", _HOSTS),
    rule("opensdn-duplicate-address", "two instances with one address", f"{_HOSTS}: add_host"),
    rule("opensdn-foreign-address", "an address that is not a node's", "the lab"),
    # Roles: the playbooks look for keys only.
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
    # How Ansible logs in.
    warning("opensdn-no-login", "a missing provider_config.bms", f"{_HOSTS}: without user/pwd/key"),
    warning("opensdn-plain-password", "a password beside a key", f"{_HOSTS}: ansible_ssh_pass"),
)
_BOOK = Book(RULES)
_ROLES = (
    # OpenSDN's own.
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
    # Kubernetes.
    "kubemanager",
    "k8s_master",
    "k8s_node",
    # OpenStack.
    "openstack",
    "openstack_control",
    "openstack_network",
    "openstack_storage",
    "openstack_monitoring",
    "openstack_compute",
    "openstack_compute_legacy",
    "tsn_haproxy",
)
# Those that Contrail's own deployer had, too, R5.0 to R2005.
_CONTRAILS_ROLES = (
    "appformix_flows",
    "mesos_agent_private",
    "mesos_agent_public",
    "mesosmanager",
    "vcenter_fabric_manager",
    "vcenter_manager",
    "vcenter_plugin",
    "win_cnm_plugin",
    "win_docker_driver",
)
# What most clouds need; the whole list would be too long for advice.
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
_INDEXED = re.compile(r"toragent(_\w+)?")  # there may be several on an instance
_PROVIDERS = ("bms", "kvm", "gce", "aws")
# Those that Contrail's own deployer had, too.
_CONTRAILS_PROVIDERS = (*_PROVIDERS, "bms_win")
_ADDRESSED = ("bms", "kvm")  # the clouds' instances are asked for theirs


def check(file: Instances) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    for check_rule in (_check_instances, _check_addresses, _check_roles, _check_login):
        yield from check_rule(file)


def _check_instances(file: Instances) -> Iterator[Finding]:
    if not file.instances:
        yield _BOOK.finding(
            "opensdn-no-instances",
            file.name,
            line=line_of(file.section("instances")),
            effect="the playbooks stop: the file does not name any instance",
            fix="write `instances:`, and below it a mapping per machine",
        )
    for instance in file.instances:
        yield from _check_provider(file, instance)


def _check_provider(file: Instances, instance: YamlEntry) -> Iterator[Finding]:
    provider = instance.get("provider")
    if provider is None:
        yield _BOOK.finding(
            "opensdn-instance",
            file.name,
            instance.line,
            effect=f"the playbooks stop: {instance.key} does not name a provider",
            fix=f"provider: {_likely_provider(file)}",
        )
    elif provider.text not in (_CONTRAILS_PROVIDERS if file.is_contrails else _PROVIDERS):
        meant = nearest(provider.text, _PROVIDERS) or _likely_provider(file)
        yield _BOOK.finding(
            "opensdn-instance",
            file.name,
            provider.line,
            effect=f"the playbooks pass over {instance.key}: they do not know a provider "
            f"{provider.text!r}",
            fix=f"provider: {meant}",
        )
    elif provider.text in _ADDRESSED and instance.get("ip") is None:
        yield _BOOK.finding(
            "opensdn-instance",
            file.name,
            instance.line,
            effect=f"the playbooks stop: {instance.key} does not have an ip",
            fix="write `ip: ADDRESS` below it",
        )


def _likely_provider(file: Instances) -> str:
    """Return the only provider that provider_config has; bms, which most files mean, otherwise."""
    config = file.section("provider_config")
    configured = {entry.key for entry in config.items} if config is not None else set()
    known = configured & set(_PROVIDERS)
    return known.pop() if len(known) == 1 else "bms"


def _check_addresses(file: Instances) -> Iterator[Finding]:
    first_with: dict[str, str] = {}  # address -> instance
    for instance in file.instances:
        address = instance.get("ip")
        if address is None or address.is_template or not address.text:
            continue
        first = first_with.setdefault(address.text, instance.key)
        if first != instance.key:
            yield _BOOK.finding(
                "opensdn-duplicate-address",
                file.name,
                address.line,
                effect=f"Ansible takes {first} and {instance.key} for one host, and the roles of "
                f"one are lost: both have {address.text}",
                fix="give each its own, or write all roles into one instance",
            )
        if file.scope.lab is None:
            yield from _check_is_address(file, address)
        else:
            yield from _check_is_of_lab(file, address, file.scope.lab)


def _check_is_address(file: Instances, address: YamlEntry) -> Iterator[Finding]:
    if is_address(address.text):
        return
    yield _BOOK.finding(
        "opensdn-instance",
        file.name,
        address.line,
        effect=f"{address.text} is not an address, and the lists of nodes are made of it",
        fix="write an address instead of a name",
    )


def _check_is_of_lab(file: Instances, address: YamlEntry, lab: Lab) -> Iterator[Finding]:
    owners = {str(nic.address.ip): node.name for node in lab.nodes for nic in node.nics}
    if address.text in owners:
        return
    choices = ", ".join(f"{ip} ({name})" for ip, name in owners.items())
    yield _BOOK.finding(
        "opensdn-foreign-address",
        file.name,
        address.line,
        effect=f"Ansible cannot log in to {address.text}, which is not an address of a node of "
        f"lab {lab.name}",
        fix=f"write one of {choices}",
    )


def is_address(text: str) -> bool:
    """Return True for an IP address of either version."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_ipv4(text: str) -> bool:
    """Return True for an IPv4 address."""
    return is_address(text) and ":" not in text


def _check_roles(file: Instances) -> Iterator[Finding]:
    known = (*_ROLES, *_CONTRAILS_ROLES) if file.is_contrails else _ROLES
    # One for the whole file: it limits how many unknown roles are compared.
    nearest_role = Near(known)
    for instance in file.instances:
        roles = instance.get("roles")
        if roles is None or roles.kind == "null":
            if file.is_contrails:
                continue  # "If roles is not defined, all below roles will be created": its README
            yield _BOOK.finding(
                "opensdn-no-roles",
                file.name,
                line=line_of(roles or instance),
                effect=f"nothing is installed on {instance.key}, because it does not have a role",
                fix="write `roles:`, and below it e.g. `vrouter:`",
            )
            continue
        if roles.kind != "map":
            yield _BOOK.finding(
                "opensdn-role-list",
                file.name,
                roles.line,
                effect="the playbooks stop: roles must be the keys of a mapping, not a list",
                fix="write each as `vrouter:`, without a -",
            )
        for role in roles.items:
            yield from _check_role(file, role, known, nearest_role)


def _check_role(
    file: Instances, role: YamlEntry, known: tuple[str, ...], nearest_role: Near
) -> Iterator[Finding]:
    if role.key not in known and not _INDEXED.fullmatch(role.key):
        near = nearest_role(role.key)
        usual = ", ".join(_USUAL)
        fix = f"write {near}:" if near else f"remove the line, or write one of {usual}"
        yield _BOOK.finding(
            "opensdn-unknown-role",
            file.name,
            role.line,
            effect=f"nothing is installed for the unknown role {role.key}",
            fix=fix,
        )
    elif role.kind not in ("null", "map") and role.text:
        # Even `vrouter: false` installs it; an empty text is as good as none.
        yield _BOOK.finding(
            "opensdn-role-value",
            file.name,
            role.line,
            effect=f"{role.key} is installed whatever its value is, because the playbooks only "
            f"look for the key",
            fix=f"remove the line, or write `{role.key}:`",
        )


def _check_login(file: Instances) -> Iterator[Finding]:
    providers = [instance.get("provider") for instance in file.instances]
    is_bms = any(provider is not None and provider.text == "bms" for provider in providers)
    login = file.section("provider_config", "bms")
    if is_bms and (login is None or not login.items):
        yield _BOOK.finding(
            "opensdn-no-login",
            file.name,
            line=line_of(login),
            effect="Ansible logs in as the user who runs it, with that user's keys, because "
            f"provider_config.bms is {'missing' if login is None else 'empty'}",
            fix="write provider_config:, below it bms:, and there ssh_user and ssh_private_key",
        )
        return
    # An instance may have a login of its own, with the same keys.
    for place in (login, *file.instances):
        if place is not None:
            yield from _check_plain_password(file, place)


def _check_plain_password(file: Instances, place: YamlEntry) -> Iterator[Finding]:
    password = place.get("ssh_pwd")
    key = place.get("ssh_private_key")
    if password is None or key is None:
        return
    if not password.text or not key.text:
        return
    yield _BOOK.finding(
        "opensdn-plain-password",
        file.name,
        password.line,
        effect="Ansible needs sshpass because of the password, though ssh_private_key is enough",
        fix="remove ssh_pwd",
    )
