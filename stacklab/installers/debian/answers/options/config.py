"""A node's configuration files, and how options become the text of an INI file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Section -> option -> value.
Sections = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """A file as it has to be on the node: its text, its owner and who may read it."""

    text: str
    owner: str = "root"
    group: str = "root"
    mode: int = 0o644


def ini_file(sections: Sections, group: str) -> ConfigFile:
    """Return an INI file that root owns and only a service's group reads: it has passwords."""
    lines = []
    for section, options in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {_value(value)}" for key, value in options.items()]
        lines.append("")
    return ConfigFile(text="\n".join(lines), group=group, mode=0o640)


def merged(first: Sections, second: Sections) -> dict[str, dict[str, object]]:
    """Return both together; of an option that both set, the second's value."""
    sections = {section: dict(options) for section, options in first.items()}
    for section, options in second.items():
        sections.setdefault(section, {}).update(options)
    return sections


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
