"""Rules for lines that bash runs as commands, where a value was meant."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator

from stacklab.installers.devstack.lint.localrc import SWITCHES, Localrc
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding
from stacklab.lint.readers import shell

_BASH = "bash(1)"
RULES = (
    rule(
        "shell-blank-around-equals",
        "a blank before or after the = of an assignment",
        f"{_BASH}, PARAMETERS",
    ),
    rule("shell-second-word", "an unquoted value with a blank", f"{_BASH}, SIMPLE COMMANDS"),
    rule("shell-no-assignment", "a line that is neither an assignment nor a known command", _BASH),
    rule("shell-exit", "exit in a file that is sourced", f"{_BASH}, SHELL BUILTIN COMMANDS"),
    rule("shell-command", "`set` where an assignment was meant", f"{_BASH}, set"),
)
_BOOK = Book(RULES)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_SWITCH = 30  # characters; a longer name is not a misspelt function of DevStack's
# What an unknown command surely was meant to be, and what to write instead.
_MEANINGS = (
    # NAME: value, as in YAML.
    (re.compile(r"([A-Z][A-Z0-9_]{2,}):"), r"\1=..."),
    # NAME alone: commands are not written in capitals.
    (re.compile(r"[A-Z][A-Z0-9_]{2,}"), r"\g<0>=... or # before it"),
    # [[local|localrc]] has a | and is a finding of local.conf's own rules.
    (re.compile(r"\[[^|]*\]"), "remove the line: sections belong into local.conf"),
    # Comments of other languages.
    (re.compile(r"//.*|;", re.DOTALL), "write # where a comment begins"),
)


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    for call in rc.script.calls:
        if call.prefix:
            yield _describe_prefixed(rc, call)
        else:
            yield from _check_call(rc, call)


def _check_call(rc: Localrc, call: shell.Call) -> Iterator[Finding]:
    """Yield what is wrong with a command that does not begin with an assignment."""
    first = call.args[0].raw if call.args else ""
    if _NAME.fullmatch(call.name) and first.startswith(("=", "+=")):
        yield _BOOK.finding(
            "shell-blank-around-equals",
            rc.file,
            call.line,
            effect=f"bash runs a command called {call.name} (not found); the variable stays unset",
            fix=f"{call.name}=..., without blanks around =",
        )
    elif call.name == "exit":
        yield _BOOK.finding(
            "shell-exit",
            rc.file,
            call.line,
            effect="this ends the installer, whose shell reads the file",
            fix="write return" if call.conditional else "remove the line, or write return",
        )
    elif _is_set_of_csh(call, first):
        yield _BOOK.finding(
            "shell-command",
            rc.file,
            call.line,
            effect="the variable stays unset: `set` does not set variables in bash",
            fix=f"{first.partition('=')[0]}=..., without set",
        )
    elif not call.conditional:
        yield from _check_unknown(rc, call)


def _is_set_of_csh(call: shell.Call, first: str) -> bool:
    """Return True for `set NAME=value`; bash's own `set -o ...` takes options."""
    return call.name == "set" and "=" in first and not first.startswith(("-", "+"))


def _describe_prefixed(rc: Localrc, call: shell.Call) -> Finding:
    """Return the finding of `NAME=value command`, an assignment that lasts for a command only."""
    name = call.prefix[-1]
    line = rc.lines[call.line - 1] if call.line <= len(rc.lines) else ""
    if re.search(rf"\b{name}\+?=\s", line):
        return _BOOK.finding(
            "shell-blank-around-equals",
            rc.file,
            call.line,
            effect=f"bash takes what follows the blank for a command, with {name} empty for it "
            f"alone; {name} stays unset",
            fix=f"{name}=..., without a blank after =",
        )
    return _BOOK.finding(
        "shell-second-word",
        rc.file,
        call.line,
        effect=f"bash takes the second word for a command, with {name} for it alone; {name} stays "
        "unset",
        fix=f'{name}="...", with the whole value in quotes',
    )


def _check_unknown(rc: Localrc, call: shell.Call) -> Iterator[Finding]:
    """Yield unknown commands that surely meant something else.

    Other commands are left alone: a localrc may run any program.
    """
    if call.name in SWITCHES:
        return
    fix = _guess_meaning(call)
    if fix:
        yield _BOOK.finding(
            "shell-no-assignment",
            rc.file,
            call.line,
            effect=f"bash does not know a command {call.name}, and the line sets nothing",
            fix=fix,
        )


def _guess_meaning(call: shell.Call) -> str:
    """Return what to write in place of an unknown command; "" if that cannot be told."""
    switch = _find_near_switch(call.name)
    if switch:
        return f"{switch} ..."
    # `[ ... ]` with words inside is a test, as in `[ -f file ] && ...`.
    if call.args and call.name.startswith("["):
        return ""
    for pattern, instead in _MEANINGS:
        match = pattern.fullmatch(call.name)
        if match:
            return match.expand(instead)
    return ""


@functools.lru_cache(maxsize=1024)
def _find_near_switch(name: str) -> str:
    """Return the function of DevStack's that a misspelt name meant; "" for any other name."""
    if len(name) > _LONGEST_SWITCH:
        return ""
    plain = name.replace("-", "_").lower()
    near = difflib.get_close_matches(plain, SWITCHES, n=1, cutoff=0.8)
    return near[0] if near else ""
