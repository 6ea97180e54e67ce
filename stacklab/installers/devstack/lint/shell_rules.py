"""Rules for any file that bash sources: what bash makes of it is not what it looks like."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator

from stacklab.installers.devstack.lint.localrc import SWITCHES, Localrc
from stacklab.lint import shell
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding

_BASH = "bash(1)"
RULES = (
    rule("shell-crlf", "Windows line ends", "bash(1): a carriage return is no blank"),
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
            f"{len(returns)} lines end in CR LF: bash keeps the carriage return, so every value "
            f"ends in one and no "
            "number, address or True is understood",
            f"sed -i 's/\\r$//' {rc.file}",
        )
        return  # all else would only repeat it
    for each in (_unclosed, _words, _metacharacters, _twice, _order, _characters, _names, _tildes):
        yield from each(rc)


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
        f"{what} {mark} is never closed: bash reads nothing from line {line} on",
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
            yield _BOOK.finding(
                "shell-exit",
                rc.file,
                call.line,
                "the file is sourced, so this ends the installer itself",
                "remove the line, or write return" if not call.conditional else "write return",
            )
        elif call.name == "set" and first and "=" in first and not first.startswith(("-", "+")):
            yield _BOOK.finding(
                "shell-command",
                rc.file,
                call.line,
                "`set` sets no variable in bash: it stays unset",
                f"{first.partition('=')[0]}=..., without set",
            )
        elif not call.conditional:
            yield from _unknown(rc, call)


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
    if near := _switch_like(call.name):
        fix = f"{near} ..."
    elif call.name.endswith(":") and _VARIABLE.fullmatch(call.name[:-1]):
        fix = f"{call.name[:-1]}=..."
    elif _VARIABLE.fullmatch(call.name):
        fix = f"{call.name}=... or # before it"
    elif (
        call.name.startswith("[")
        and "|" not in call.name
        and call.name.endswith("]")
        and not call.args
    ):
        fix = "remove the line: sections belong into local.conf"
    elif call.name.startswith("//") or call.name == ";":
        fix = "write # where a comment begins"
    else:
        return
    yield _BOOK.finding(
        "shell-no-assignment",
        rc.file,
        call.line,
        f"bash knows no command {call.name}: the line sets nothing",
        fix,
    )


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
        found = _BARE.match(line)
        if found is None or number in multiline or (found[3] == "(" and not found[2]):
            continue
        rest = line[found.end() :]
        if found[3] in ";&" and (not rest.strip() or rest[:1] in " \t&"):
            continue  # A=1; B=2 and A=1 && b are meant so
        yield _BOOK.finding(
            "shell-metacharacter",
            rc.file,
            number,
            effects[found[3]].format(name=found[1]),
            f"{found[1]}='...', in single quotes, or letters and digits only",
        )


def _inner_lines(rc: Localrc) -> frozenset[int]:
    """Return the lines that continue a quoted value."""
    return frozenset(
        number
        for each in rc.script.assignments
        for number in range(each.line + 1, each.line + each.value.raw.count("\n") + 1)
    )


def _twice(rc: Localrc) -> Iterator[Finding]:
    seen: dict[str, shell.Assignment] = {}
    used: dict[str, int] = {}  # name -> last line that refers to it
    last_word = next(
        (number for number, line in enumerate(rc.lines, start=1) if line.startswith(_SPECS)), 0
    )
    for each in rc.script.assignments:
        used |= dict.fromkeys(each.value.names, each.line)
        if each.is_element or each.is_appended or each.conditional:
            continue
        before = seen.get(each.name)
        seen[each.name] = each
        if before is None or each.name in each.value.names or each.name in rc.uncertain:
            continue
        if used.get(each.name, 0) > before.line or before.line < last_word < each.line:
            # its first value was used in between, or is the one that a spec's line is to replace
            continue
        yield _BOOK.finding(
            "shell-set-twice",
            rc.file,
            each.line,
            f"{each.name} was set on line {before.line} already: that value is lost, this one is "
            f"used",
            f"keep one of lines {before.line} and {each.line}",
        )


def _order(rc: Localrc) -> Iterator[Finding]:
    """Yield variables that are used above their assignment: bash expands them to nothing."""
    first: dict[str, int] = {}
    for each in rc.script.assignments:
        first.setdefault(each.name, each.line)
    told: set[tuple[str, int]] = set()
    for each in rc.script.assignments:
        for name in each.value.names:
            if (
                f"{{{name}:" in each.value.live
                or f"{{{name}-" in each.value.live
                or name == each.name
            ):
                continue
            is_late = name in first and first[name] > each.line
            is_never = name not in first and name in ("HOST_IP", "SERVICE_HOST")
            if not (is_late or is_never) or (name, each.line) in told:
                continue
            told.add((name, each.line))
            why = (
                f"is set on line {first[name]} only"
                if is_late
                else "is not set in this file (it is found out later)"
            )
            where = (
                f"move {name}=... above line {each.line}"
                if is_late
                else f"{name}=... above line {each.line}"
            )
            yield _BOOK.finding(
                "shell-used-before-set",
                rc.file,
                each.line,
                f"${name} {why}: {each.name} gets an empty text for it",
                where,
            )


def _characters(rc: Localrc) -> Iterator[Finding]:
    for number, line in enumerate(rc.lines, start=1):
        if line.lstrip().startswith("#"):
            continue
        found = next((char for char in line.split(" #")[0] if char in _TYPOGRAPHIC), None)
        if found is not None:
            what = _TYPOGRAPHIC[found]
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
                f"{what} (U+{ord(found):04X}) quotes and separates nothing: bash makes it part of "
                f"the value",
                f"write {plain[what.split()[-1]]} instead",
            )


def _names(rc: Localrc) -> Iterator[Finding]:
    inner = _inner_lines(rc)
    for number, line in enumerate(rc.lines, start=1):
        found = _ALMOST.match(line)
        if found is None or number in inner or _NAME.fullmatch(found[2]):
            continue
        yield _BOOK.finding(
            "shell-name",
            rc.file,
            number,
            f"{found[2]} is no name for a variable: bash takes the line for a command",
            f"{re.sub(r'[^A-Za-z0-9_]', '_', found[2].lstrip('$'))}=...",
        )


def _tildes(rc: Localrc) -> Iterator[Finding]:
    for each in rc.script.assignments:
        if each.value.text.startswith("~/") and each.value.raw[:1] in ('"', "'"):
            yield _BOOK.finding(
                "shell-tilde",
                rc.file,
                each.line,
                "a quoted ~ stays a ~: it names no home directory",
                f"{each.name}=$HOME/...",
            )
