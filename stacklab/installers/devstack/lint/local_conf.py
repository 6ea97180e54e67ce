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
from stacklab.lint.finding import Finding, at_first_line
from stacklab.lint.near import Near
from stacklab.lint.scope import Scope, Source

_META = "openstack/devstack@493835a:inc/meta-config"
RULES = (
    # Headers that DevStack does not take for headers, or takes for others.
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
    # What is not read, because of where it is.
    rule("conf-text-before", "text above the first header", f"{_META}: get_meta_section"),
    rule("conf-shadowed", "a localrc beside local.conf", f"{_META}: extract_localrc_section"),
    rule(
        "conf-no-localrc",
        "a local.conf without a [[local|localrc]] section",
        f"{_META}: extract_localrc_section",
    ),
    *post_config.RULES,
)
_BOOK = Book(RULES)

PHASES = ("local", "post-config", "extra", "post-extra", "test-config")
_ANY_PHASE = "|".join(PHASES)
_HEADER = re.compile(r"\[\[.+\|.*\]\]")  # as in get_meta_section
_INDENTED_HEADER = re.compile(rf"[ \t]\s*\[\[({_ANY_PHASE})\s*\|")
# One bracket or two, and no |: `[[local]]`, `[post-config|$NOVA_CONF]`. With a = it is an
# assignment or a test.
_BENT_HEADER = re.compile(rf"\[{{1,2}}\s*({_ANY_PHASE})\b[^=]*$")
_SHELL_TEST = re.compile(r"\[\[\s+.*\]\]\s*(&&|\|\||;|$)")
_BLANK_INSIDE = re.compile(r"\s\||\|\s|^\s")  # beside the |, or in front
_LIKE_A_HEADER = re.compile(r"\s*[a-z-]+\s*\|\s*[$/a-z]")


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


def find_sections(lines: tuple[str, ...]) -> tuple[Section, ...]:
    """Return what DevStack's get_meta_section would find, in order."""
    headers = [number for number, line in enumerate(lines, start=1) if _HEADER.match(line)]
    ends = [*headers[1:], len(lines) + 1]
    all_sections: list[Section] = []
    for number, end in zip(headers, ends, strict=False):  # a file without headers has one end
        # get_meta_section compares one word of the header, without brackets.
        first_word = lines[number - 1].split()[0]
        bare_word = first_word.replace("[", "").replace("]", "")
        group, _, rest = bare_word.partition("|")
        section = Section(
            line=number,
            group=group,
            name=rest.partition("|")[0],
            body=lines[number : end - 1],
        )
        all_sections.append(section)
    return tuple(all_sections)


def localrc_text(source: Source) -> str:
    """Return the localrc sections; all other lines are empty, so line numbers stay."""
    lines = [""] * len(source.lines)
    for section in find_sections(source.lines):
        if section.is_localrc:
            # The header's number, from 1, is the index of the first line below it.
            lines[section.line : section.line + len(section.body)] = section.body
    return "\n".join(lines) + "\n"


def lint(source: Source, scope: Scope) -> Iterator[Finding]:
    """Yield every finding in a local.conf, its localrc section included."""
    returns = [number for number, line in enumerate(source.lines, start=1) if line.endswith("\r")]
    if returns:
        yield _describe_crlf(source, returns)
        return  # all else would only repeat it
    all_sections = find_sections(source.lines)
    yield from _check_whole_file(source, scope, all_sections)
    # One of each for the whole file: they stop to compare when a file has too many unknown words.
    near_phase = Near(PHASES)
    near_file = Near(post_config.FILES, cutoff=0.85)
    yield from _check_nameless(source, all_sections)
    for section in all_sections:
        yield from _check_header(source, section, near_phase, near_file)
        if section.group in PHASES[1:]:
            yield from post_config.check(source.name, section.line + 1, section.body)
    if any(section.is_localrc for section in all_sections):
        localrc = Source(name=source.name, text=localrc_text(source))
        yield from devstack.lint(localrc, scope, _find_overridden(all_sections))


def _find_overridden(all_sections: tuple[Section, ...]) -> frozenset[str]:
    """Return the options that sections set once DevStack has written the files."""
    options: set[str] = set()
    for section in all_sections:
        if section.group in PHASES[1:]:
            options.update(line.partition("=")[0].strip() for line in section.body if "=" in line)
    return frozenset(options)


def _describe_crlf(source: Source, returns: list[int]) -> Finding:
    """Return the finding of carriage returns, at the localrc's header if it has one."""
    line = returns[0]
    effect = f"every value ends in a carriage return, because {len(returns)} lines end in CR LF"
    for number in returns:
        if source.lines[number - 1].startswith("[[local|localrc]]"):
            line = number
            effect = (
                "DevStack silently drops the whole [[local|localrc]] section, because a "
                "carriage return is part of its name"
            )
            break
    return _BOOK.finding(
        "conf-crlf",
        source.name,
        line,
        effect=effect,
        fix=f"sed -i 's/\\r$//' {source.name}",
    )


def _check_whole_file(
    source: Source, scope: Scope, all_sections: tuple[Section, ...]
) -> Iterator[Finding]:
    """Yield findings about the file as a whole: misplaced text, a localrc beside it, no section."""
    bent_headers = list(_find_bent_headers(source))
    bent_lines = {finding.line for finding in bent_headers}
    text_above = _find_text_above(source, all_sections)
    yield from bent_headers
    # A line that was meant as a header is one mistake, and has its finding.
    if text_above and bent_lines.isdisjoint(text_above):
        yield _describe_text_above(source, text_above)
    localrc = next((section for section in all_sections if section.is_localrc), None)
    if localrc is not None:
        yield from _check_shadowing(source, scope, localrc)
    # The section is surely missing only where nothing else can be it.
    elif not (bent_headers or text_above or "localrc" in scope.siblings):
        yield _BOOK.finding(
            "conf-no-localrc",
            source.name,
            0,
            effect="DevStack sets none of your variables: it installs its defaults on one node "
            "and asks for the passwords",
            fix="write [[local|localrc]] above the variables",
        )


def _find_text_above(source: Source, all_sections: tuple[Section, ...]) -> list[int]:
    """Return the lines above the first header that are neither empty nor comments."""
    first_header = all_sections[0].line if all_sections else len(source.lines) + 1
    text_above: list[int] = []
    for number, line in enumerate(source.lines[: first_header - 1], start=1):
        bare = line.strip()
        if bare and not bare.startswith("#"):
            text_above.append(number)
    return text_above


def _describe_text_above(source: Source, text_above: list[int]) -> Finding:
    lines = f"line {text_above[0]}"
    if len(text_above) > 1:
        lines = f"lines {text_above[0]} to {text_above[-1]}"
    return _BOOK.finding(
        "conf-text-before",
        source.name,
        text_above[0],
        effect=f"DevStack does not read {lines}, above the first header",
        fix="write [[local|localrc]] above it",
    )


def _check_shadowing(source: Source, scope: Scope, localrc: Section) -> Iterator[Finding]:
    """Yield a localrc section that a file called localrc replaces."""
    # stack.sh looks for a file of that name alone: notes such as local.conf.old are not read.
    is_read = source.name.rpartition("/")[2] == "local.conf"
    if is_read and "localrc" in scope.siblings:
        yield _BOOK.finding(
            "conf-shadowed",
            source.name,
            localrc.line,
            effect="DevStack reads the file localrc in the same directory instead of this "
            "[[local|localrc]] section; post-config sections still count",
            fix="rm localrc, or move its lines into local.conf",
        )


def _find_bent_headers(source: Source) -> Iterator[Finding]:
    """Yield lines that were meant as headers, but are not read as such."""
    for number, line in enumerate(source.lines, start=1):
        if _HEADER.match(line):
            continue
        if _INDENTED_HEADER.match(line):
            yield _BOOK.finding(
                "conf-header-indented",
                source.name,
                number,
                effect="DevStack takes this line for a part of the section above, and does "
                "not find the section that it should begin",
                fix=f"write {line.strip().split(']]')[0]}]] in the first column",
            )
        elif _BENT_HEADER.match(line):
            yield _BOOK.finding(
                "conf-header-form",
                source.name,
                number,
                effect="DevStack does not take this line for a header, and does not find "
                "the section that it should begin",
                fix=_straighten_header(line),
            )


def _straighten_header(line: str) -> str:
    """Return the header that a line was meant to be."""
    inside = re.sub(r"[\[\]\s]", "", line)
    group, _, name = inside.partition("|")
    # The only name of its phase, and the file that most options are for.
    default_name = "localrc" if group == "local" else "$NOVA_CONF"
    return f"[[{group}|{name or default_name}]]"


def _check_header(
    source: Source, section: Section, near_phase: Near, near_file: Near
) -> Iterator[Finding]:
    """Yield what is wrong with a line that DevStack takes for a header."""
    line = source.lines[section.line - 1]
    inside = _inside(source, section)
    if _is_shell_test(line, inside):
        yield _describe_lost(source, section)
    elif section.group not in PHASES or _BLANK_INSIDE.search(inside):
        yield _describe_phase(source, section, inside, near_phase)
    elif section.group != "local":
        yield from post_config.check_target(
            source.name, section.line, section.group, section.name, near_file
        )
    elif section.name != "localrc":
        yield _BOOK.finding(
            "conf-local-name",
            source.name,
            section.line,
            effect="DevStack does not read this section: of [[local|...]] it only reads "
            f"localrc, not {section.name or 'an empty name'}",
            fix="[[local|localrc]], or a file local.sh beside stack.sh",
        )


def _check_nameless(source: Source, all_sections: tuple[Section, ...]) -> Iterator[Finding]:
    """Yield one finding for all headers without a file: mostly bash has emptied each of them."""
    findings = [
        post_config.describe_nameless(source.name, section.line, section.group)
        for section in all_sections
        if section.group in PHASES[1:] and not section.name and "|" in _inside(source, section)
    ]
    if findings:
        yield at_first_line(findings)


def _inside(source: Source, section: Section) -> str:
    """Return what a header has between its brackets."""
    line = source.lines[section.line - 1]
    return line[2 : line.index("]]")]


def _is_shell_test(line: str, inside: str) -> bool:
    """Return True for bash's `[[ ... ]]` with a | in it or behind it."""
    if not _SHELL_TEST.match(line) or not inside.startswith(" "):
        return False
    # `[[ local | localrc ]]` is a header with blanks: a word, a | and the name of a file.
    return not _LIKE_A_HEADER.match(inside)


def _describe_lost(source: Source, section: Section) -> Finding:
    """Return the finding of a shell line that begins a section of its own."""
    what = "DevStack loses the line"
    if section.body:
        last = section.line + len(section.body)
        what = f"DevStack loses everything from line {section.line} to line {last}"
    return _BOOK.finding(
        "conf-header-lost",
        source.name,
        section.line,
        effect=f"{what}: it takes `[[` in the first column with a | behind it for a header",
        fix="indent the line by one blank, or write `if [ ... ]`",
    )


def _describe_phase(source: Source, section: Section, inside: str, nearest: Near) -> Finding:
    """Return the finding of a header whose phase DevStack does not find."""
    group, _, rest = inside.partition("|")
    phase, name = group.strip(), rest.strip()
    if phase in PHASES:
        return _BOOK.finding(
            "conf-header-blank",
            source.name,
            section.line,
            effect="DevStack does not find the section, because blanks inside [[ ]] are part of "
            "its name",
            fix=f"[[{phase}|{name}]]",
        )
    meant = nearest(phase.lower()) or "post-config"
    return _BOOK.finding(
        "conf-phase",
        source.name,
        section.line,
        effect="DevStack never reads the section, because it does not know a phase "
        f"{phase or 'without a name'}",
        fix=f"[[{meant}|{name}]] (there are {', '.join(PHASES)})",
    )
