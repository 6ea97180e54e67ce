"""Rules for local.conf: sections, and what gets lost between them.

inc/meta-config finds a section by a pattern and a whole-word comparison, so a
header that is nearly right is not an error: its section is simply not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from stacklab.installers.devstack.lint import linter as devstack
from stacklab.installers.devstack.lint import post_config
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.lint.near import Near
from stacklab.lint.scope import Scope, Source

_META = "openstack/devstack@493835a:inc/meta-config"
RULES = (
    rule("conf-crlf", "Windows line ends in local.conf", f"{_META}: get_meta_section"),
    rule("conf-header-lost", "a shell line that looks like a header", f"{_META}: get_meta_section"),
    rule("conf-header-blank", "a header with blanks inside", f"{_META}: get_meta_section"),
    rule(
        "conf-header-indented",
        "a header that does not begin in the first column",
        f"{_META}: get_meta_section",
    ),
    rule("conf-header-form", "a header without [[, | or ]]", f"{_META}: get_meta_section"),
    rule(
        "conf-phase", "a phase that stack.sh does not have", "openstack/devstack@493835a:stack.sh"
    ),
    rule(
        "conf-local-name",
        "a [[local|...]] that is not localrc",
        f"{_META}: extract_localrc_section",
    ),
    rule("conf-text-before", "text above the first header", f"{_META}: get_meta_section"),
    rule("conf-shadowed", "a localrc beside local.conf", f"{_META}: extract_localrc_section"),
    rule(
        "conf-no-localrc",
        "a local.conf without a [[local|localrc]] section",
        f"{_META}: extract_localrc_section",
    ),
    rule(
        "conf-file",
        "a section that does not name a file DevStack knows",
        f"{_META}: merge_config_group",
    ),
    rule(
        "conf-slash",
        "a file's path without its leading slash",
        "openstack/devstack@493835a:doc/source/configuration.rst",
    ),
    *post_config.RULES,
)
_BOOK = Book(RULES)

PHASES = ("local", "post-config", "extra", "post-extra", "test-config")
_HEADER = re.compile(r"\[\[.+\|.*\]\]")  # as in get_meta_section
_SHELL = re.compile(r"\[\[\s+.*\]\]\s*(&&|\|\||;|$)")
_RELATIVE = re.compile(
    r"\$Q_PLUGIN_CONF_FILE$|\$\{Q_PLUGIN_CONF_FILE\}$|[A-Za-z0-9_.][A-Za-z0-9_./-]*$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A header as DevStack understands it, and the lines below it."""

    line: int
    group: str
    name: str  # the file that it is for
    body: tuple[str, ...]

    @property
    def is_localrc(self) -> bool:
        """Return True for [[local|localrc]], the variables."""
        return (self.group, self.name) == ("local", "localrc")


def sections(lines: tuple[str, ...]) -> tuple[Section, ...]:
    """Return what DevStack's get_meta_section would find, in order."""
    heads = [number for number, line in enumerate(lines, start=1) if _HEADER.match(line)]
    all_sections = []
    for number, end in zip(heads, [*heads[1:], len(lines) + 1], strict=False):
        word = lines[number - 1].split()[0].replace("[", "").replace("]", "")
        group, _, name = word.partition("|")
        body = lines[number : end - 1]
        all_sections.append(
            Section(line=number, group=group, name=name.partition("|")[0], body=body)
        )
    return tuple(all_sections)


def localrc_text(source: Source) -> str:
    """Return the localrc sections; all other lines are empty, so line numbers stay."""
    lines = [""] * len(source.lines)
    for section in sections(source.lines):
        if section.is_localrc:
            lines[section.line : section.line + len(section.body)] = section.body
    return "\n".join(lines) + "\n"


def lint(source: Source, scope: Scope) -> Iterator[Finding]:
    """Yield every finding in a local.conf, its localrc section included."""
    returns = [number for number, line in enumerate(source.lines, start=1) if line.endswith("\r")]
    if returns:
        yield _crlf(source, returns)
        return
    all_sections = sections(source.lines)
    yield from _around(source, scope, all_sections)
    near_phase, near_file = Near(PHASES), Near(_FILES, cutoff=0.85)
    for section in all_sections:
        yield from _header(source, section, near_phase, near_file)
        if section.group in PHASES[1:]:
            yield from post_config.check(source.name, section.line + 1, section.body)
    if any(section.is_localrc for section in all_sections):
        yield from devstack.lint(Source(name=source.name, text=localrc_text(source)), scope)


def _crlf(source: Source, returns: list[int]) -> Finding:
    headers = [
        number for number in returns if source.lines[number - 1].startswith("[[local|localrc]]")
    ]
    effect = (
        (
            "DevStack silently drops the whole [[local|localrc]] section, because a "
            "carriage return is part of its name"
        )
        if headers
        else (f"every value ends in a carriage return, because {len(returns)} lines end in CR LF")
    )
    return _BOOK.finding(
        "conf-crlf",
        source.name,
        (headers or returns)[0],
        effect,
        f"sed -i 's/\\r$//' {source.name}",
    )


def _around(source: Source, scope: Scope, all_sections: tuple[Section, ...]) -> Iterator[Finding]:
    """Yield findings about the file as a whole: misplaced text, a localrc beside it, no section."""
    first = all_sections[0].line if all_sections else len(source.lines) + 1
    above = [
        number
        for number, line in enumerate(source.lines[: first - 1], start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    bent = list(_bent(source))
    yield from bent
    # A line that was meant as a header is one mistake, and has its finding.
    if above and not {finding.line for finding in bent} & set(above):
        lines = f"lines {above[0]} to {above[-1]}" if len(above) > 1 else f"line {above[0]}"
        yield _BOOK.finding(
            "conf-text-before",
            source.name,
            above[0],
            f"DevStack does not read {lines}, above the first header",
            "write [[local|localrc]] above it",
        )
    localrc = next((section for section in all_sections if section.is_localrc), None)
    is_beside = "localrc" in scope.siblings
    if localrc is None and not (is_beside or bent or above):
        yield _BOOK.finding(
            "conf-no-localrc",
            source.name,
            0,
            "DevStack sets none of your variables: it installs its defaults on one node and asks "
            "for the passwords",
            "write [[local|localrc]] above the variables",
        )
    if is_beside and localrc and source.name.rpartition("/")[2] == "local.conf":
        yield _shadowed(source, localrc)


def _shadowed(source: Source, localrc: Section) -> Finding:
    return _BOOK.finding(
        "conf-shadowed",
        source.name,
        localrc.line,
        "DevStack reads the file localrc in the same directory instead of this [[local|localrc]] "
        "section; post-config sections still count",
        "rm localrc, or move its lines into local.conf",
    )


def _bent(source: Source) -> Iterator[Finding]:
    """Yield lines that were meant as headers, but are not read as such."""
    for number, line in enumerate(source.lines, start=1):
        bare = line.strip()
        if _HEADER.match(line):
            continue
        if line[:1] in (" ", "\t") and re.match(
            r"\[\[(local|post-config|extra|post-extra|test-config)\s*\|", bare
        ):
            yield _BOOK.finding(
                "conf-header-indented",
                source.name,
                number,
                "DevStack takes this line for a part of the section above, and does "
                "not find the section that it should begin",
                f"write {bare.split(']]')[0]}]] in the first column",
            )
        elif re.match(r"\[{1,2}\s*(local|post-config|extra|post-extra|test-config)\b[^=]*$", line):
            inside = re.sub(r"[\[\]\s]", "", bare)
            group, _, name = inside.partition("|")
            yield _BOOK.finding(
                "conf-header-form",
                source.name,
                number,
                "DevStack does not take this line for a header, and does not find "
                "the section that it should begin",
                f"[[{group}|{name or ('localrc' if group == 'local' else '$NOVA_CONF')}]]",
            )


def _header(
    source: Source, section: Section, near_phase: Near, near_file: Near
) -> Iterator[Finding]:
    line = source.lines[section.line - 1]
    inside = line[2 : line.index("]]")] if "]]" in line else ""
    if _SHELL.match(line) and (
        inside.startswith(" ") and not re.match(r"\s*[a-z-]+\s*\|\s*[$/a-z]", inside)
    ):
        yield from _lost(source, section)
    elif section.group not in PHASES or re.search(r"\s\||\|\s|^\s", inside):
        yield from _group(source, section, inside, near_phase)
    elif section.group == "local" and section.name != "localrc":
        yield _BOOK.finding(
            "conf-local-name",
            source.name,
            section.line,
            "DevStack does not read this section: of [[local|...]] it only reads "
            f"localrc, not {section.name or 'an empty name'}",
            "[[local|localrc]], or a file local.sh beside stack.sh",
        )
    elif section.group != "local":
        yield from _target(source, section, near_file)


def _lost(source: Source, section: Section) -> Iterator[Finding]:
    last = section.line + len(section.body)
    what = (
        f"DevStack loses everything from line {section.line} to line {last}"
        if section.body
        else "DevStack loses the line"
    )
    yield _BOOK.finding(
        "conf-header-lost",
        source.name,
        section.line,
        f"{what}: it takes `[[` in the first column with a | behind it for a header",
        "indent the line by one blank, or write `if [ ... ]`",
    )


def _group(source: Source, section: Section, inside: str, nearest: Near) -> Iterator[Finding]:
    words = [part.strip() for part in inside.partition("|")[::2]]
    if words[0] in PHASES:
        yield _BOOK.finding(
            "conf-header-blank",
            source.name,
            section.line,
            "DevStack does not find the section, because blanks inside [[ ]] are part of its name",
            f"[[{words[0]}|{words[1]}]]",
        )
        return
    yield _BOOK.finding(
        "conf-phase",
        source.name,
        section.line,
        "DevStack never reads the section, because it does not know a phase "
        f"{words[0] or 'without a name'}",
        f"[[{nearest(words[0].lower()) or 'post-config'}|{words[1]}]] (there are "
        f"{', '.join(PHASES)})",
    )


def _target(source: Source, section: Section, nearest: Near) -> Iterator[Finding]:
    if not section.name:
        yield _BOOK.finding(
            "conf-file",
            source.name,
            section.line,
            "DevStack never reads the section, because its header does not name a file",
            f"[[{section.group}|$NOVA_CONF]]",
        )
    elif _RELATIVE.match(section.name):
        yield _BOOK.finding(
            "conf-slash",
            source.name,
            section.line,
            "DevStack writes a file below its own directory, which services do not "
            "read: the path is relative",
            f"[[{section.group}|{_path_of(section.name)}]]",
        )
    elif section.name.startswith("$"):
        name = section.name[1:].strip("{}")
        if (near := nearest(name)) and near != name:
            yield _BOOK.finding(
                "conf-file",
                source.name,
                section.line,
                "DevStack skips this section and all later ones of "
                f"[[{section.group}|...]]: it does not know {section.name}",
                f"[[{section.group}|${near}]]",
            )


def _path_of(name: str) -> str:
    """Return the path that was probably meant.

    It is a variable without its $, or a file somewhere below /etc.
    """
    if name.startswith("$"):
        return f"/{name}"
    return f"${name}" if name in _FILES else f"/etc/.../{name.rpartition('/')[2]}"


_FILES = (
    "NOVA_CONF",
    "NOVA_CPU_CONF",
    "NEUTRON_CONF",
    "GLANCE_API_CONF",
    "GLANCE_REGISTRY_CONF",
    "KEYSTONE_CONF",
    "CINDER_CONF",
    "HEAT_CONF",
    "TEMPEST_CONFIG",
    "NEUTRON_CORE_PLUGIN_CONF",
    "Q_DHCP_CONF_FILE",
    "Q_L3_CONF_FILE",
    "Q_META_CONF_FILE",
    "SWIFT_CONF_DIR",
    "PLACEMENT_CONF",
    "IRONIC_CONF_FILE",
    "ZUN_CONF",
    "GLANCE_CONF",
    "NOVA_CELLS_CONF",
)
