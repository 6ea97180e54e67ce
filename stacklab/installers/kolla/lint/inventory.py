"""Rules for kolla-ansible's inventory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from stacklab.installers.kolla.lint.names import names
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.lint.scope import Scope, Source
from stacklab.model.release import Release

_SAMPLE = "kolla-ansible@stable/2025.2:ansible/inventory/multinode"
RULES = (
    rule("kolla-inventory-groups", "missing groups that the plays need", _SAMPLE),
    rule("kolla-inventory-empty", "a top group without a host", _SAMPLE),
    warning(
        "kolla-inventory-idle",
        "a top group without a host, of services that are off by default",
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

# What makes use of these is off by default: ansible/group_vars/all of 2024.1 to master.
_IDLE = {"storage": "enable_cinder is", "monitoring": "enable_prometheus and enable_grafana are"}
TOP = ("control", "network", "compute", "monitoring", "storage")
_HEADER = re.compile(r"\[(?P<name>[^\]:]+)(?::(?P<kind>children|vars))?\]\s*(?:[#;].*)?")


@dataclass(slots=True)
class _InventoryGroup:
    line: int
    members: list[tuple[str, int]] = field(default_factory=list)  # hosts, and where
    children: list[tuple[str, int]] = field(default_factory=list)


def lint(source: Source, scope: Scope, release: Release | None) -> Iterator[Finding]:
    """Yield every finding in an inventory in INI form."""
    groups = _read(source)
    if "control" not in groups and "baremetal" not in groups:
        return  # a part of one, or an all-in-one of somebody's own
    yield from _missing(source.name, groups, release)
    yield from _top(source.name, groups)
    nearest = Near(groups)
    for group in groups.values():
        for child, line in group.children:
            if child not in groups and child not in ("all", "ungrouped"):
                yield _BOOK.finding(
                    "kolla-inventory-child",
                    source.name,
                    line,
                    "Ansible ignores the whole file and only knows localhost, "
                    f"because {child} is not a group",
                    f"write {nearest(child) or '[' + child + ']'}",
                )
    yield from _hosts(source.name, groups, scope)


def _read(source: Source) -> dict[str, _InventoryGroup]:
    groups: dict[str, _InventoryGroup] = {}
    kind, current = "vars", _InventoryGroup(0)
    for number, line in enumerate(source.lines, start=1):
        text = line.strip()
        if header := _HEADER.fullmatch(text):
            kind = header["kind"] or "hosts"
            current = groups.setdefault(header["name"], _InventoryGroup(number))
        elif text and text[0] not in "#;" and kind != "vars":
            place = current.members if kind == "hosts" else current.children
            place.append((text.split()[0], number))
    return groups


def _missing(
    file: str, groups: dict[str, _InventoryGroup], release: Release | None
) -> Iterator[Finding]:
    known = names()
    word = (
        release.name
        if release is not None and release.name in known.releases
        else known.releases[-2]
    )
    wanted = known.groups[word] - {*TOP, "deployment"}
    missing = sorted(wanted - groups.keys())
    if not missing or len(missing) == len(wanted):
        return  # without any, the services' groups are in a file beside it
    shown = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
    yield _BOOK.finding(
        "kolla-inventory-groups",
        file,
        0,
        f"plays of kolla-ansible {word} need groups that are missing: {shown}",
        f"take all below [deployment] from ansible/inventory/multinode of kolla-ansible {word}",
    )


def _top(file: str, groups: dict[str, _InventoryGroup]) -> Iterator[Finding]:
    for name in TOP:
        group = groups.get(name)
        if group is None or group.members or group.children:
            continue
        if name in _IDLE:
            yield _BOOK.finding(
                "kolla-inventory-idle",
                file,
                group.line,
                f"services of [{name}] run nowhere, because the group is empty; this "
                f"is harmless while {_IDLE[name]} off, the default",
                "write a node's name below it",
            )
        else:
            yield _BOOK.finding(
                "kolla-inventory-empty",
                file,
                group.line,
                f"services of [{name}] run nowhere, because the group is empty",
                "write a node's name below it",
            )


def _hosts(file: str, groups: dict[str, _InventoryGroup], scope: Scope) -> Iterator[Finding]:
    lab = scope.lab
    if lab is None:
        return
    known = {node.name for node in lab.nodes} | {
        str(nic.address.ip) for node in lab.nodes for nic in node.nics
    }
    for name in TOP:
        for host, line in groups[name].members if name in groups else ():
            if host not in known and "[" not in host:
                yield _BOOK.finding(
                    "kolla-inventory-host",
                    file,
                    line,
                    f"Ansible cannot log in to {host}, which is not a node of lab {lab.name}",
                    f"write one of {', '.join(node.name for node in lab.nodes)}",
                )
