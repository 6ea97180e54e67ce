"""Rules for any file that bash sources: what bash makes of it is not what it looks like."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.installers.devstack.lint.localrc import Localrc
from stacklab.installers.devstack.lint.rules import early_uses, shell_commands
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding, at_first_line
from stacklab.lint.readers import shell

_BASH = "bash(1)"
RULES = (
    rule("shell-crlf", "Windows line ends", "bash(1): a carriage return is not a blank"),
    *shell_commands.RULES,
    rule(
        "shell-unclosed",
        "a quote or a block that is never closed",
        f"{_BASH}, QUOTING, COMPOUND COMMANDS",
    ),
    rule("shell-metacharacter", "an unquoted & ; ( < or > in a value", f"{_BASH}, DEFINITIONS"),
    rule(
        "shell-name",
        "a name that bash does not take for a variable's",
        f"{_BASH}, DEFINITIONS: name",
    ),
    warning("shell-set-twice", "a variable that is set twice", _BASH),
    *early_uses.RULES,
    rule("shell-typographic", "a typographic quote, dash or blank", f"{_BASH}, QUOTING"),
    warning("shell-tilde", "a quoted ~", f"{_BASH}, Tilde Expansion"),
)
_BOOK = Book(RULES)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A line that looks like an assignment to a variable in capitals. Its name may have characters that
# bash does not take: FOO-BAR=, $FOO=.
_ALMOST = re.compile(r"(?:export )?\s*([A-Z$][A-Za-z0-9_.-]*)\+?=")
_SHOWN = 5  # lines that a finding names
_CLOSING_MARKS = {
    "if": "fi",
    "case": "esac",
    "for": "done",
    "while": "done",
    "until": "done",
    "{": "}",
    "(": ")",
    # What closes itself.
    '"': '"',
    "'": "'",
    "`": "`",
}
_TYPOGRAPHIC = {
    "\u201c": "a typographic quote",
    "\u201d": "a typographic quote",
    "\u2018": "a typographic quote",
    "\u2019": "a typographic quote",
    "\u2010": "a typographic dash",
    "\u2011": "a typographic dash",
    "\u2013": "a typographic dash",
    "\u2014": "a typographic dash",
    "\u00a0": "a no-break space",
    "\u00ad": "a soft hyphen",
    "\u200b": "a zero-width space",
    "\ufeff": "a byte order mark",
}
_ANY_TYPOGRAPHIC = re.compile(f"[{''.join(_TYPOGRAPHIC)}]")
_PLAIN_CHARACTERS = {
    "a typographic quote": "one of the keyboard's",
    "a typographic dash": "-",
    "a soft hyphen": "-",
    "a no-break space": "a plain blank or nothing",
    "a zero-width space": "a plain blank or nothing",
    "a byte order mark": "nothing",
}
_SPECS = (
    "# -- from the spec"  # below it, answers/ puts a spec's own lines, which have the last word
)
# An assignment whose unquoted value bash ends at a metacharacter. What begins with <( or >( is
# a substitution, whose parenthesis belongs to the value.
_CUT_VALUE = re.compile(
    r"\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)="
    r"""(?P<value>[^\s"'#$`\\;&(<>]*)(?P<mark>[;&(<>])(?!\()"""
)
_MARK_EFFECTS = {
    "&": "bash runs the assignment in a process of its own: {name} stays unset",
    ";": "bash ends the value there and runs the rest as a command",
    "(": "bash stops reading the file here, with a syntax error",
    "<": "bash takes < for a redirection: the value is lost, or the rest of the file with a "
    "syntax error",
    ">": "bash takes > for a redirection: the value ends there and a file is made",
}


def check(rc: Localrc) -> Iterator[Finding]:
    """Yield every finding of this module's rules."""
    returns = [number for number, line in enumerate(rc.lines, start=1) if line.endswith("\r")]
    if returns:
        yield _BOOK.finding(
            "shell-crlf",
            rc.file,
            returns[0],
            effect=f"every value ends in a carriage return, which bash keeps: {len(returns)} "
            "lines end in CR LF",
            fix=f"sed -i 's/\\r$//' {rc.file}",
        )
        return  # all else would only repeat it
    for rule_check in (
        _check_unclosed,
        shell_commands.check,
        _find_metacharacters,
        _find_lost_values,
        early_uses.check,
        _find_typographic,
        _find_bad_names,
        _find_quoted_tildes,
    ):
        yield from rule_check(rc)


def _check_unclosed(rc: Localrc) -> Iterator[Finding]:
    """Yield the quote or block in which the file ends."""
    unclosed = rc.script.unclosed
    if unclosed is None:
        return
    line, mark = unclosed.line, unclosed.mark
    is_block = mark.isalpha() or mark in ("(", "{")
    what = "the block that begins with" if is_block else "the quote"
    yield _BOOK.finding(
        "shell-unclosed",
        rc.file,
        line,
        effect=f"bash stops reading at line {line}: {what} {mark} is never closed",
        fix=f"add the closing {_CLOSING_MARKS.get(mark, 'mark')}",
    )


def _find_metacharacters(rc: Localrc) -> Iterator[Finding]:
    """Yield unquoted values that bash ends before their last character.

    Lines are read as they are, because the parser has taken such a value apart already.
    """
    continued = _find_continued_lines(rc)
    for number, line in enumerate(rc.lines, start=1):
        match = _CUT_VALUE.match(line)
        if match is None or number in continued or _ends_on_purpose(match):
            continue
        name = match["name"]
        yield _BOOK.finding(
            "shell-metacharacter",
            rc.file,
            number,
            effect=_MARK_EFFECTS[match["mark"]].format(name=name),
            fix=f"{name}='...', in single quotes, or letters and digits only",
        )


def _ends_on_purpose(match: re.Match[str]) -> bool:
    """Return True if the value was meant to end there."""
    mark = match["mark"]
    if mark == "(":
        return not match["value"]  # NAME=(...) is an array
    if mark not in ";&":
        return False
    rest = match.string[match.end() :]
    return not rest.strip() or rest[0] in " \t&"  # A=1; B=2 and A=1 && b are meant so


def _find_continued_lines(rc: Localrc) -> frozenset[int]:
    """Return the lines that continue a quoted value: they are not statements."""
    continued: set[int] = set()
    for assignment in rc.script.assignments:
        first = assignment.line + 1
        continued.update(range(first, first + assignment.value.raw.count("\n")))
    return frozenset(continued)


def _find_lost_values(rc: Localrc) -> Iterator[Finding]:
    """Yield names whose values are replaced before anything has used them, each once."""
    latest: dict[str, shell.Assignment] = {}
    last_uses: dict[str, int] = {}  # name -> last line that refers to it
    last_sets: dict[str, int] = {}  # name -> last line that sets it
    lost_lines: dict[str, list[int]] = {}
    spec_line = _find_spec_line(rc)
    for assignment in rc.script.assignments:
        name = assignment.name
        names = assignment.value.names
        last_uses |= dict.fromkeys(names, assignment.line)
        was_set_at = max((last_sets.get(used, 0) for used in names), default=0)
        last_sets[name] = assignment.line
        if assignment.is_element or assignment.is_appended or assignment.conditional:
            continue
        before = latest.get(name)
        latest[name] = assignment
        if before is None or name in names or name in rc.uncertain:
            continue
        is_used = last_uses.get(name, 0) > before.line
        # A spec's own line is to replace the one that was rendered above it.
        is_from_spec = before.line < spec_line < assignment.line
        # The same words say another thing once a variable in them was set between both lines.
        is_same = before.value.raw == assignment.value.raw and was_set_at < before.line
        if not (is_used or is_from_spec or is_same):
            lost_lines.setdefault(name, []).append(before.line)
    for name, lines in lost_lines.items():
        yield _describe_lost_values(rc, name, lines, latest[name].line)


def _describe_lost_values(rc: Localrc, name: str, lines: list[int], kept: int) -> Finding:
    """Return the finding of a name whose values on these lines are lost."""
    shown = ", ".join(map(str, lines[:_SHOWN]))
    more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    plural = "s" if len(lines) > 1 else ""
    return _BOOK.finding(
        "shell-set-twice",
        rc.file,
        kept,
        effect=f"bash uses this value of {name}, and loses the one{plural} of line{plural} "
        f"{shown}{more}",
        fix=f"keep one of lines {shown}{more} and {kept}",
    )


def _find_spec_line(rc: Localrc) -> int:
    """Return the line below which a spec's own lines are; 0 for a file without them."""
    for number, line in enumerate(rc.lines, start=1):
        if line.startswith(_SPECS):
            return number
    return 0


def _find_typographic(rc: Localrc) -> Iterator[Finding]:
    """Yield characters that an editor or a web page put in place of the keyboard's, each once."""
    found: dict[str, list[Finding]] = {}
    for number, line in enumerate(rc.lines, start=1):
        before_comment = line.split(" #")[0]
        match = _ANY_TYPOGRAPHIC.search(before_comment)
        if match is None or line.lstrip().startswith("#"):
            continue
        what = _TYPOGRAPHIC[match[0]]
        finding = _BOOK.finding(
            "shell-typographic",
            rc.file,
            number,
            effect=f"bash makes {what} (U+{ord(match[0]):04X}) part of the value",
            fix=f"write {_PLAIN_CHARACTERS[what]} instead",
        )
        found.setdefault(match[0], []).append(finding)
    for findings in found.values():
        yield at_first_line(findings)


def _find_bad_names(rc: Localrc) -> Iterator[Finding]:
    """Yield assignments to what cannot be a variable's name."""
    continued = _find_continued_lines(rc)
    for number, line in enumerate(rc.lines, start=1):
        match = _ALMOST.match(line)
        if match is None or number in continued or _NAME.fullmatch(match[1]):
            continue
        # $FOO=1 meant FOO=1, and FOO-BAR=1 meant FOO_BAR=1.
        right_name = re.sub(r"[^A-Za-z0-9_]", "_", match[1].lstrip("$"))
        yield _BOOK.finding(
            "shell-name",
            rc.file,
            number,
            effect=f"bash takes the line for a command, because {match[1]} is not a name for a "
            "variable",
            fix=f"{right_name}=...",
        )


def _find_quoted_tildes(rc: Localrc) -> Iterator[Finding]:
    """Yield a ~ that was meant as the home directory, and stays a ~."""
    for assignment in rc.script.assignments:
        value = assignment.value
        if value.text.startswith("~/") and value.raw[:1] in ('"', "'"):
            yield _BOOK.finding(
                "shell-tilde",
                rc.file,
                assignment.line,
                effect="bash does not replace a quoted ~ by a home directory",
                fix=f"{assignment.name}=$HOME/...",
            )
