"""Rules for kolla-ansible's inventory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from stacklab.installers.kolla.lint.names import known_names
from stacklab.installers.kolla.lint.read import GlobalsFile
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.lint.scope import Ground, Scope, Source

_SAMPLE = "kolla-ansible@stable/2025.2:ansible/inventory/multinode"
RULES = (
    rule("kolla-inventory-groups", "missing groups that the plays need", _SAMPLE),
    rule("kolla-inventory-empty", "a top group without a host", _SAMPLE),
    warning(
        "kolla-inventory-idle",
        "a top group without a host, of services that globals.yml enables",
        _SAMPLE,
    ),
    rule(
        "kolla-inventory-child",
        "a child that is not a group",
        "ansible-core: `Section ... includes undefined group`",
    ),
    rule("kolla-inventory-host", "a host that is not a node of the lab", "the lab"),
)
_BOOK = Book(RULES)

# What makes use of these is off by default (ansible/group_vars/all of 2024.1 to master): flags of
# globals.yml, and the groups whose services they start.
_IDLE = {
    "storage": {"enable_cinder": "cinder-volume"},
    "monitoring": {"enable_prometheus": "prometheus", "enable_grafana": "grafana"},
}
# Groups of machines, which the user fills; those of services have them for children.
TOP = ("control", "network", "compute", "monitoring", "storage")
# [group], [group:children] or [group:vars], with a comment behind it or none.
_HEADER = re.compile(r"\[(?P<name>[^\]:]+)(?::(?P<kind>children|vars))?\]\s*(?:[#;].*)?")
# The first words of groups whose plays run in every cloud.
_CORE = frozenset(
    {
        "common",
        "cron",
        "fluentd",
        "glance",
        "haproxy",
        "heat",
        "horizon",
        "keystone",
        "kolla",
        "loadbalancer",
        "mariadb",
        "memcached",
        "neutron",
        "nova",
        "openvswitch",
        "ovn",
        "placement",
        "rabbitmq",
        "tls",
    }
)
_SHOWN = 4  # missing groups that a finding names; the sample has more than a hundred


@dataclass(frozen=True, slots=True)
class _InventoryMember:
    """A host or a child of a group, and its line."""

    name: str
    line: int


@dataclass(slots=True)
class _InventoryGroup:
    """A group with what is listed below its headers; `line` is that of the first one."""

    line: int
    hosts: list[_InventoryMember] = field(default_factory=list)
    children: list[_InventoryMember] = field(default_factory=list)


_Groups = Mapping[str, _InventoryGroup]


def lint(source: Source, scope: Scope, release: str) -> Iterator[Finding]:
    """Yield every finding in an inventory in INI form."""
    groups = _read_groups(source)
    if "control" not in groups and "baremetal" not in groups:
        return  # a part of one, or an all-in-one of somebody's own
    is_guessed = scope.era is not None and scope.era.ground is Ground.MARKS
    yield from _check_missing_groups(source.name, groups, release, is_guessed=is_guessed)
    yield from _check_top_groups(source.name, groups)
    yield from _check_children(source.name, groups)
    yield from _check_hosts(source.name, groups, scope)


def _read_groups(source: Source) -> _Groups:
    """Return the groups as Ansible reads them: one with several headers has the members of all."""
    groups: dict[str, _InventoryGroup] = {}
    # What precedes the first header belongs to no group, so it is passed over like variables.
    kind, current = "vars", _InventoryGroup(line=0)
    for number, line in enumerate(source.lines, start=1):
        text = line.strip()
        header = _HEADER.fullmatch(text)
        if header is not None:
            kind = header["kind"] or "hosts"
            current = groups.setdefault(header["name"], _InventoryGroup(line=number))
            continue
        if kind == "vars" or not text or text.startswith(("#", ";")):
            continue
        members = current.hosts if kind == "hosts" else current.children
        # Variables of the host may follow its name.
        members.append(_InventoryMember(name=text.split()[0], line=number))
    return groups


def _check_missing_groups(
    file: str, groups: _Groups, release: str, *, is_guessed: bool
) -> Iterator[Finding]:
    """Yield one finding for all groups that the release's plays name, and the file lacks."""
    known = known_names()
    if release not in known.groups:
        return
    # A file of another release may have a group more or less, which is what is told here.
    late = known.late_groups.get(release, frozenset())
    wanted = known.groups[release] - {*TOP, "deployment"} - late
    missing = sorted(wanted - groups.keys())
    if not missing or len(missing) == len(wanted):
        return  # without any, the services' groups are in a file beside it
    # Many are missing in the inventory of a release from before the table, which fits none.
    if is_guessed and len(missing) > _SHOWN:
        return
    if is_guessed:
        # Of a release next to that one it may be; plays of what is off by default skip a group.
        missing = [name for name in missing if name.split("-")[0] in _CORE]
    if not missing:
        return
    shown = ", ".join(missing[:_SHOWN])
    if len(missing) > _SHOWN:
        shown += f" and {len(missing) - _SHOWN} more"
    yield _BOOK.finding(
        "kolla-inventory-groups",
        file,
        0,
        effect=f"plays of kolla-ansible {release} need groups that are missing: {shown}",
        fix=(
            "take all below [deployment] from ansible/inventory/multinode of kolla-ansible "
            f"{release}"
        ),
    )


def _check_top_groups(file: str, groups: _Groups) -> Iterator[Finding]:
    """Yield top groups that are there, and empty; of those that may be idle, globals.yml tells."""
    for name in TOP:
        group = groups.get(name)
        if group is None or group.hosts or group.children or name in _IDLE:
            continue
        yield _BOOK.finding(
            "kolla-inventory-empty",
            file,
            group.line,
            effect=f"services of [{name}] run nowhere, because the group is empty",
            fix="write a node's name below it",
        )


def check_idle_groups(source: Source, globals_file: GlobalsFile) -> Iterator[Finding]:
    """Yield empty top groups of services that the cloud's globals.yml enables."""
    groups = _read_groups(source)
    for name, services in _IDLE.items():
        group = groups.get(name)
        if group is None or group.hosts or group.children:
            continue
        for flag, service in services.items():
            entry = globals_file.written_entry(flag)
            if entry is None or not globals_file.is_on(flag, default=False):
                continue
            # Somebody may have moved the service to another group.
            if service not in groups or _has_host(groups, service):
                continue
            yield _BOOK.finding(
                "kolla-inventory-idle",
                source.name,
                group.line,
                effect=(
                    f"services of [{name}] run nowhere, because the group is empty, though "
                    f"{flag} is on ({globals_file.file}:{entry.line})"
                ),
                fix=f'write a node\'s name below it, or {flag}: "no"',
            )
            break


def _has_host(groups: _Groups, name: str) -> bool:
    """Return True if a group, or one below it, has a host."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        group = groups.get(current)
        if group is None or current in seen:
            continue
        seen.add(current)
        if group.hosts:
            return True
        waiting += [child.name for child in group.children]
    return False


def _check_children(file: str, groups: _Groups) -> Iterator[Finding]:
    """Yield children that are not groups; Ansible has two groups that no file defines."""
    nearest = Near(groups)
    known = {*groups, "all", "ungrouped"}
    children = [child for group in groups.values() for child in group.children]
    for child in children:
        if child.name in known:
            continue
        near = nearest(child.name)
        yield _BOOK.finding(
            "kolla-inventory-child",
            file,
            child.line,
            effect=(
                "Ansible ignores the whole file and only knows localhost, because "
                f"{child.name} is not a group"
            ),
            fix=f"write {near}" if near else f"write [{child.name}]",
        )


def _check_hosts(file: str, groups: _Groups, scope: Scope) -> Iterator[Finding]:
    """Yield hosts of the top groups that are not nodes of the lab."""
    lab = scope.lab
    if lab is None:
        return
    node_names = [node.name for node in lab.nodes]
    addresses = {str(nic.address.ip) for node in lab.nodes for nic in node.nics}
    known = {*node_names, *addresses}
    top_hosts = [host for name in TOP if name in groups for host in groups[name].hosts]
    for host in top_hosts:
        # node[01:09] is a range, which Ansible expands.
        if host.name in known or "[" in host.name:
            continue
        yield _BOOK.finding(
            "kolla-inventory-host",
            file,
            host.line,
            effect=(f"Ansible cannot log in to {host.name}, which is not a node of lab {lab.name}"),
            fix=f"write one of {', '.join(node_names)}",
        )
