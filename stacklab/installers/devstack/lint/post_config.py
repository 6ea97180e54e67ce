"""Rules for local.conf's post-config sections: the file that each is for, and its body.

DevStack turns each line into a shell command that it evaluates: what looks
like an INI file is neither INI nor shell. Seen with inc/meta-config and
inc/ini-config of devstack@493835a.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding, at_first_line
from stacklab.lint.near import Near
from stacklab.lint.readers import shell

_META = "openstack/devstack@493835a:inc/meta-config"
_MERGE = f"{_META}: merge_config_file"
RULES = (
    # The file in a section's header.
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
    # The lines below the header.
    rule("conf-value-blank", "quotes around a value of several words", f"{_MERGE}, iniset"),
    rule("conf-semicolon", "a comment that begins with ;", _MERGE),
    rule("conf-indented", "an indented option", _MERGE),
    rule("conf-no-equals", "an option without =", _MERGE),
    rule("conf-section-blank", "a section's name with a blank", _MERGE),
    rule("conf-no-section", "an option above the first [section]", _MERGE),
    rule("conf-quotes", "quotes around a value", _MERGE),
    rule("conf-backslash", "a backslash in a value", _MERGE),
    rule("conf-expansion", "$ or a backtick in a value", _MERGE),
    rule("conf-glob", "a value that is a pattern of file names", f"{_MERGE}, iniset"),
    warning("conf-comment", "a comment behind a value", _MERGE),
)
_BOOK = Book(RULES)
# DevStack's variables for the files of services.
FILES = (
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
# Q_PLUGIN_CONF_FILE holds a path without its leading slash, unlike the variables in FILES.
_RELATIVE = re.compile(
    r"\$Q_PLUGIN_CONF_FILE$|\$\{Q_PLUGIN_CONF_FILE\}$|[A-Za-z0-9_.][A-Za-z0-9_./-]*$"
)
_KNOWN_NAME = re.compile(r"[A-Z][A-Z0-9_]*")  # DevStack's own: $SERVICE_HOST and the like are meant
_LIVE_QUOTE = re.compile(r'(?<!\\)"')
# A backslash that `read` takes away: it escapes none of the characters that need it.
_LONE_BACKSLASH = re.compile(r"(?<!\\)(\\\\)*\\(?![\\\"$`])")
_LONE_STAR = re.compile(r"(^|\s)\*(\s|$)")
# $NAME or ${NAME, then $$, then $( and at last a backtick.
_EXPANSION = re.compile(r"\$(?:\{?(?P<name>[A-Za-z0-9_]+)|(?P<pid>\$)|(?P<command>\())|(`)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _SettingProblem:
    """A broken rule, before the place of the line is known."""

    rule: str
    effect: str
    fix: str


_INDENTED = _SettingProblem(
    rule="conf-indented",
    effect="DevStack drops a line that begins with a blank",
    fix="begin it in the first column; a long value stays on one line",
)
_SEMICOLON = _SettingProblem(
    rule="conf-semicolon",
    effect="DevStack takes the comment for an option: here only # begins a comment",
    fix="write # instead of ;",
)
_NO_SECTION = _SettingProblem(
    rule="conf-no-section",
    effect="DevStack loses the option, because there is not a [section] above it",
    fix="write [DEFAULT], or the section that is meant, above it",
)
_COMMENT = _SettingProblem(
    rule="conf-comment",
    effect="the comment becomes part of the value",
    fix="put the comment on a line of its own",
)
_BACKSLASH = _SettingProblem(
    rule="conf-backslash",
    effect="DevStack drops a single backslash",
    fix=r"write \\ for each",
)
_GLOB = _SettingProblem(
    rule="conf-glob",
    effect="the shell replaces the pattern by names of files in DevStack's directory",
    fix="write the names themselves, or the option's own word for all",
)
_CALL = re.compile(r"(?:enable|disable)_(?:service|plugin|all_services)\b(?!\s*=)")
_CALLED = _SettingProblem(
    rule="conf-no-equals",
    effect="DevStack takes the line for the name of an option, and calls nothing: the section "
    "above goes on to here",
    fix="move it up into [[local|localrc]]",
)


def check_target(file: str, line: int, group: str, name: str, nearest: Near) -> Iterator[Finding]:
    """Yield what is wrong with the file that the header of a section names."""
    problem = _judge_target(group, name, nearest)
    if problem is not None:
        yield _write_finding(file, line, problem)


def check(file: str, first: int, lines: tuple[str, ...]) -> Iterator[Finding]:
    """Yield every finding in a section's body, whose first line has that number."""
    has_section = False
    calls: list[Finding] = []  # of DevStack's functions: one section that was never left
    for number, line in enumerate(lines, start=first):
        if not line.strip() or re.match(r" *#", line):
            continue
        if _CALL.match(line):
            calls.append(_write_finding(file, number, _CALLED))
            continue
        if re.match(r"\[.+\]", line):
            has_section = True
            problems = _judge_section(line)
        else:
            problems = _judge_line(line, has_section=has_section)
        for problem in problems:
            yield _write_finding(file, number, problem)
    if calls:
        yield at_first_line(calls)


def _write_finding(file: str, line: int, problem: _SettingProblem) -> Finding:
    return _BOOK.finding(problem.rule, file, line, effect=problem.effect, fix=problem.fix)


def describe_nameless(file: str, line: int, group: str) -> Finding:
    """Return the finding of a header that does not name a file."""
    return _BOOK.finding(
        "conf-file",
        file,
        line,
        effect="DevStack never reads the section, because its header does not name a file",
        fix=f"name one, as in [[{group}|$NOVA_CONF]]; a script that writes this file with <<EOF "
        "needs <<'EOF', or bash replaces the variable by nothing",
    )


def _judge_target(group: str, name: str, nearest: Near) -> _SettingProblem | None:
    """Return what is wrong with the name of a file; an unknown variable may be a plugin's."""
    if not name:
        return None  # told once for all such headers
    if _RELATIVE.match(name):
        return _SettingProblem(
            rule="conf-slash",
            effect="DevStack writes a file below its own directory, which services do not "
            "read: the path is relative",
            fix=f"[[{group}|{_guess_path(name)}]]",
        )
    if not name.startswith("$"):
        return None
    variable = name[1:].strip("{}")
    near = nearest(variable)
    if near in ("", variable):
        return None
    return _SettingProblem(
        rule="conf-file",
        effect=f"DevStack skips this section and all later ones of [[{group}|...]]: it does not "
        f"know {name}",
        fix=f"[[{group}|${near}]]",
    )


def _guess_path(name: str) -> str:
    """Return the path that was probably meant.

    It is a variable without its $, or a file somewhere below /etc.
    """
    if name.startswith("$"):
        return f"/{name}"
    if name in FILES:
        return f"${name}"
    return f"/etc/.../{name.rpartition('/')[2]}"


def _judge_section(line: str) -> Iterator[_SettingProblem]:
    """Yield what is wrong with a [section].

    DevStack splits the line at blanks, and takes the second word for an option.
    """
    inside = line[1 : line.index("]")]
    words = inside.split()
    if inside.startswith(" "):
        yield _SettingProblem(
            rule="conf-section-blank",
            effect="the section's name is empty: each option below becomes a section instead",
            fix=f"[{inside.strip()}]",
        )
    elif len(words) > 1:
        yield _SettingProblem(
            rule="conf-section-blank",
            effect=f"only the first word counts: what follows goes into [{words[0]}]",
            fix="write a name of one word; other sections need a plugin or local.sh",
        )


def _judge_line(line: str, *, has_section: bool) -> Iterator[_SettingProblem]:
    """Yield what is wrong with a line that is neither empty, a comment nor a [section]."""
    if line[0] in " \t":
        yield _INDENTED
    elif line[0] == ";":
        yield _SEMICOLON
    elif "=" not in line:
        word = line.split()[0]
        yield _SettingProblem(
            rule="conf-no-equals",
            effect="DevStack takes the line for the name of an option with an empty value",
            # A [ without its ] was meant as a section.
            fix=f"[{word.strip('[]')}]"
            if word.startswith("[")
            else f"{word} = VALUE, or # before it",
        )
    elif not has_section:
        yield _NO_SECTION
    else:
        name, _, value = line.partition("=")
        yield from _judge_value(name.strip(), value.strip())


def _judge_value(name: str, value: str) -> Iterator[_SettingProblem]:
    """Yield what the shell makes of a value, which it reads twice: by `read`, then by `eval`."""
    if re.search(r"\s#", value):
        yield _COMMENT
        return
    after_read = re.sub(r"\\(.)", r"\1", value)
    # `eval` sees the value in double quotes.
    try:
        tokens = list(shell.tokens(f'"{after_read}"'))
    except shell.UnclosedError:
        tokens = []
    words = tuple(token for token in tokens if isinstance(token, shell.Word))
    damage = _judge_damage(name, value, after_read, words, len(tokens))
    if damage is not None:
        yield damage
    for token in tokens:
        if isinstance(token, shell.Word):
            yield from _judge_expansions(token)
            break  # iniset gets this word as the value


def _judge_damage(
    name: str, value: str, after_read: str, words: Sequence[shell.Word], token_count: int
) -> _SettingProblem | None:
    """Return the first thing that the shell takes away from a value.

    A value whose quotes are not closed has no tokens. Quotes that are left were meant to be.
    """
    if not token_count:
        return _SettingProblem(
            rule="conf-quotes",
            effect=f"DevStack loses {name}, because the quote is never closed",
            fix=r'write \\" for a quote that is to stay',
        )
    if token_count > 1:
        return _SettingProblem(
            rule="conf-value-blank",
            effect=f"the quotes end where they look to begin: {name} gets the first word alone",
            fix=f"{name} = ONE TWO, without quotes",
        )
    is_left = any('"' in word.text for word in words)
    if _LIVE_QUOTE.search(after_read) and not is_left:
        return _SettingProblem(
            rule="conf-quotes",
            effect="the shell removes the quotes",
            fix=f"{name} = VALUE, without quotes",
        )
    # These are asked of the text before `read`, which has taken the backslashes away.
    if _LONE_BACKSLASH.search(value):
        return _BACKSLASH
    return _GLOB if _LONE_STAR.search(value) else None


def _judge_expansions(word: shell.Word) -> Iterator[_SettingProblem]:
    """Yield the first reference that the shell would expand, though it is not DevStack's.

    Examples are nova's own `$my_ip`, and `$$` in a password.
    """
    for expansion in _EXPANSION.finditer(word.live):
        name = expansion["name"]
        # $(command) is meant for the shell, and so are DevStack's own variables.
        if expansion["command"] or (name and _KNOWN_NAME.fullmatch(name)):
            continue
        what, fix = "a backtick", "write a value without it"
        if name:
            what = f"${name}"
            fix = f"write \\\\{what}, if it is to stay"
        elif expansion["pid"]:
            what = "$$"
        yield _SettingProblem(
            rule="conf-expansion",
            effect=f"{what} is replaced by the shell before the value is stored",
            fix=fix,
        )
        return
