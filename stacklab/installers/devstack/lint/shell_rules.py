"""Rules for any file that bash sources: what bash makes of it is not what it looks like."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator, Mapping

from stacklab.installers.devstack.lint.localrc import SWITCHES, Localrc
from stacklab.lint import shell
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding

_BASH = "bash(1)"
RULES = (
    rule("shell-crlf", "Windows line ends", "bash(1): a carriage return is not a blank"),
    rule(
        "shell-blank-around-equals",
        "a blank before or after the = of an assignment",
        f"{_BASH}, PARAMETERS",
    ),
    rule("shell-second-word", "an unquoted value with a blank", f"{_BASH}, SIMPLE COMMANDS"),
    rule(
        "shell-unclosed",
        "a quote or a block that is never closed",
        f"{_BASH}, QUOTING, COMPOUND COMMANDS",
    ),
    rule("shell-metacharacter", "an unquoted & ; ( < or > in a value", f"{_BASH}, DEFINITIONS"),
    rule("shell-no-assignment", "a line that is neither an assignment nor a known command", _BASH),
    rule(
        "shell-name",
        "a name that bash does not take for a variable's",
        f"{_BASH}, DEFINITIONS: name",
    ),
    warning("shell-set-twice", "a variable that is set twice", _BASH),
    rule(
        "shell-used-before-set",
        "a variable that is used above the line that sets it",
        f"{_BASH}, EXPANSION",
    ),
    rule("shell-typographic", "a typographic quote, dash or blank", f"{_BASH}, QUOTING"),
    warning("shell-tilde", "a quoted ~", f"{_BASH}, Tilde Expansion"),
    rule("shell-exit", "exit in a file that is sourced", f"{_BASH}, SHELL BUILTIN COMMANDS"),
    rule("shell-command", "`set` where an assignment was meant", f"{_BASH}, set"),
)
_BOOK = Book(RULES)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{2,}")
_ALMOST = re.compile(r"(export )?\s*([A-Z$][A-Za-z0-9_.-]*)\+?=")
_TYPOGRAPHIC = {
    "\u201c": "a typographic quote",
    "\u201d": "a typographic quote",
    "\u2018": "a typographic quote",
    "\u2019": "a typographic quote",
    "\u2013": "a typographic dash",
    "\u2014": "a typographic dash",
    "\u00a0": "a no-break space",
    "\u200b": "a zero-width space",
    "\ufeff": "a byte order mark",
}
_SPECS = (
    "# -- from the spec"  # below it, answers/ puts a spec's own lines, which have the last word
)
_BARE = re.compile(
    r"""\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=([^\s"'#$`\\;&(<>]*)([;&(<>])(?!\()"""
)


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    returns = [number for number, line in enumerate(rc.lines, start=1) if line.endswith("\r")]
    if returns:
        yield _BOOK.finding(
            "shell-crlf",
            rc.file,
            returns[0],
            f"every value ends in a carriage return, which bash keeps: {len(returns)} "
            "lines end in CR LF",
            f"sed -i 's/\\r$//' {rc.file}",
        )
        return  # all else would only repeat it
    for rule_check in (
        _unclosed,
        _words,
        _metacharacters,
        _twice,
        _order,
        _characters,
        _names,
        _tildes,
    ):
        yield from rule_check(rc)


def _unclosed(rc: Localrc) -> Iterator[Finding]:
    if rc.script.unclosed is None:
        return
    line, mark = rc.script.unclosed.line, rc.script.unclosed.mark
    what = "the block that begins with" if mark.isalpha() or mark in "({" else "the quote"
    closing = {
        "if": "fi",
        "case": "esac",
        "for": "done",
        "while": "done",
        "until": "done",
        "{": "}",
        "(": ")",
    }
    yield _BOOK.finding(
        "shell-unclosed",
        rc.file,
        line,
        f"bash stops reading at line {line}: {what} {mark} is never closed",
        f"add the closing {closing.get(mark, mark if mark in (chr(34), chr(39), '`') else 'mark')}",
    )


def _words(rc: Localrc) -> Iterator[Finding]:
    """Yield lines that bash runs as commands, where a value was meant."""
    for call in rc.script.calls:
        first = call.args[0].raw if call.args else ""
        if call.prefix:
            yield from _prefixed(rc, call)
        elif _NAME.fullmatch(call.name) and first.startswith(("=", "+=")):
            yield _BOOK.finding(
                "shell-blank-around-equals",
                rc.file,
                call.line,
                f"bash runs a command called {call.name} (not found); the variable stays unset",
                f"{call.name}=..., without blanks around =",
            )
        elif call.name == "exit":
            fix = "write return" if call.conditional else "remove the line, or write return"
            yield _BOOK.finding(
                "shell-exit",
                rc.file,
                call.line,
                "this ends the installer, whose shell reads the file",
                fix,
            )
        elif _is_set_of_csh(call, first):
            yield _BOOK.finding(
                "shell-command",
                rc.file,
                call.line,
                "the variable stays unset: `set` does not set variables in bash",
                f"{first.partition('=')[0]}=..., without set",
            )
        elif not call.conditional:
            yield from _unknown(rc, call)


def _is_set_of_csh(call: shell.Call, first: str) -> bool:
    """Return True for `set NAME=value`; bash's own `set -o ...` takes options."""
    return call.name == "set" and "=" in first and not first.startswith(("-", "+"))


def _prefixed(rc: Localrc, call: shell.Call) -> Iterator[Finding]:
    name = call.prefix[-1]
    line = rc.lines[call.line - 1] if call.line <= len(rc.lines) else ""
    if re.search(rf"\b{name}\+?=\s", line):
        yield _BOOK.finding(
            "shell-blank-around-equals",
            rc.file,
            call.line,
            f"bash takes what follows the blank for a command, with {name} empty for it alone; "
            f"{name} stays unset",
            f"{name}=..., without a blank after =",
        )
        return
    yield _BOOK.finding(
        "shell-second-word",
        rc.file,
        call.line,
        f"bash takes the second word for a command, with {name} for it alone; {name} stays unset",
        f'{name}="...", with the whole value in quotes',
    )


@functools.lru_cache(maxsize=1024)
def _switch_like(name: str) -> str:
    """Return the function that a misspelt name meant; "" for any other name."""
    if len(name) > 30:
        return ""
    near = difflib.get_close_matches(name.replace("-", "_").lower(), SWITCHES, n=1, cutoff=0.8)
    return near[0] if near else ""


def _unknown(rc: Localrc, call: shell.Call) -> Iterator[Finding]:
    """Yield unknown commands that surely meant something else.

    Other commands are left alone: a localrc may run any program."""
    if call.name in SWITCHES:
        return
    fix = _meant(call)
    if fix:
        yield _BOOK.finding(
            "shell-no-assignment",
            rc.file,
            call.line,
            f"bash does not know a command {call.name}, and the line sets nothing",
            fix,
        )


def _meant(call: shell.Call) -> str:
    """Return what to write in place of an unknown command; "" if that cannot be told."""
    name = call.name
    near = _switch_like(name)
    if near:
        return f"{near} ..."
    if name.endswith(":") and _VARIABLE.fullmatch(name[:-1]):
        return f"{name[:-1]}=..."
    if _VARIABLE.fullmatch(name):
        return f"{name}=... or # before it"
    # [[local|localrc]] has a | and is a finding of local.conf's own rules.
    if name.startswith("[") and name.endswith("]") and "|" not in name and not call.args:
        return "remove the line: sections belong into local.conf"
    if name.startswith("//") or name == ";":
        return "write # where a comment begins"
    return ""


def _metacharacters(rc: Localrc) -> Iterator[Finding]:
    effects = {
        "&": "bash runs the assignment in a process of its own: {name} stays unset",
        ";": "bash ends the value there and runs the rest as a command",
        "(": "bash stops reading the file here, with a syntax error",
        "<": "bash takes < for a redirection: the value is lost, or the rest of the file with a "
        "syntax error",
        ">": "bash takes > for a redirection: the value ends there and a file is made",
    }
    multiline = _inner_lines(rc)
    for number, line in enumerate(rc.lines, start=1):
        match = _BARE.match(line)
        if match is None or number in multiline or (match[3] == "(" and not match[2]):
            continue
        rest = line[match.end() :]
        if match[3] in ";&" and (not rest.strip() or rest[:1] in " \t&"):
            continue  # A=1; B=2 and A=1 && b are meant so
        yield _BOOK.finding(
            "shell-metacharacter",
            rc.file,
            number,
            effects[match[3]].format(name=match[1]),
            f"{match[1]}='...', in single quotes, or letters and digits only",
        )


def _inner_lines(rc: Localrc) -> frozenset[int]:
    """Return the lines that continue a quoted value."""
    return frozenset(
        number
        for assignment in rc.script.assignments
        for number in range(
            assignment.line + 1, assignment.line + assignment.value.raw.count("\n") + 1
        )
    )


def _twice(rc: Localrc) -> Iterator[Finding]:
    seen: dict[str, shell.Assignment] = {}
    used: dict[str, int] = {}  # name -> last line that refers to it
    last_word = next(
        (number for number, line in enumerate(rc.lines, start=1) if line.startswith(_SPECS)), 0
    )
    for assignment in rc.script.assignments:
        used |= dict.fromkeys(assignment.value.names, assignment.line)
        if assignment.is_element or assignment.is_appended or assignment.conditional:
            continue
        before = seen.get(assignment.name)
        seen[assignment.name] = assignment
        if (
            before is None
            or assignment.name in assignment.value.names
            or assignment.name in rc.uncertain
        ):
            continue
        if used.get(assignment.name, 0) > before.line or before.line < last_word < assignment.line:
            # its first value was used in between, or is the one that a spec's line is to replace
            continue
        yield _BOOK.finding(
            "shell-set-twice",
            rc.file,
            assignment.line,
            f"bash uses this value of {assignment.name}, and loses the one of line {before.line}",
            f"keep one of lines {before.line} and {assignment.line}",
        )


def _order(rc: Localrc) -> Iterator[Finding]:
    """Yield variables that are used above their assignment: bash expands them to nothing."""
    first: dict[str, int] = {}
    for assignment in rc.script.assignments:
        first.setdefault(assignment.name, assignment.line)
    reported: set[tuple[str, int]] = set()
    for assignment in rc.script.assignments:
        line = assignment.line
        for name in _bare_names(assignment):
            finding = _used_early(rc, assignment, name, first)
            if finding is not None and (name, line) not in reported:
                reported.add((name, line))
                yield finding


def _bare_names(assignment: shell.Assignment) -> Iterator[str]:
    """Yield the variables that a value refers to without a default such as ${NAME:-default}."""
    live = assignment.value.live
    for name in assignment.value.names:
        has_default = f"{{{name}:" in live or f"{{{name}-" in live
        if not has_default and name != assignment.name:
            yield name


def _used_early(
    rc: Localrc, assignment: shell.Assignment, name: str, first: Mapping[str, int]
) -> Finding | None:
    line = assignment.line
    if name in first and first[name] > line:
        reason, verb = f"is set on line {first[name]} only", "move "
    elif name not in first and name in ("HOST_IP", "SERVICE_HOST"):
        # stackrc sets both after it has read localrc; other names may come from the environment.
        reason, verb = "is not set in this file, and DevStack sets it later", ""
    else:
        return None
    return _BOOK.finding(
        "shell-used-before-set",
        rc.file,
        line,
        f"{assignment.name} gets an empty text for ${name}, which {reason}",
        f"{verb}{name}=... above line {line}",
    )


def _characters(rc: Localrc) -> Iterator[Finding]:
    for number, line in enumerate(rc.lines, start=1):
        if line.lstrip().startswith("#"):
            continue
        typographic = next((char for char in line.split(" #")[0] if char in _TYPOGRAPHIC), None)
        if typographic is not None:
            what = _TYPOGRAPHIC[typographic]
            plain = {
                "quote": "one of the keyboard's",
                "dash": "-",
                "space": "a plain blank or nothing",
                "mark": "nothing",
            }
            yield _BOOK.finding(
                "shell-typographic",
                rc.file,
                number,
                f"bash makes {what} (U+{ord(typographic):04X}) part of the value",
                f"write {plain[what.split()[-1]]} instead",
            )


def _names(rc: Localrc) -> Iterator[Finding]:
    inner = _inner_lines(rc)
    for number, line in enumerate(rc.lines, start=1):
        match = _ALMOST.match(line)
        if match is None or number in inner or _NAME.fullmatch(match[2]):
            continue
        yield _BOOK.finding(
            "shell-name",
            rc.file,
            number,
            f"bash takes the line for a command, because {match[2]} is not a name for a variable",
            f"{re.sub(r'[^A-Za-z0-9_]', '_', match[2].lstrip('$'))}=...",
        )


def _tildes(rc: Localrc) -> Iterator[Finding]:
    for assignment in rc.script.assignments:
        if assignment.value.text.startswith("~/") and assignment.value.raw[:1] in ('"', "'"):
            yield _BOOK.finding(
                "shell-tilde",
                rc.file,
                assignment.line,
                "bash does not replace a quoted ~ by a home directory",
                f"{assignment.name}=$HOME/...",
            )
