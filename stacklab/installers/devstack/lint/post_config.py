"""Rules for the bodies of local.conf's post-config sections.

DevStack turns each line into a shell command that it evaluates: what looks
like an INI file is neither INI nor shell. Seen with inc/meta-config and
inc/ini-config of devstack@493835a.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacklab.lint import shell
from stacklab.lint.book import Book, rule, warning
from stacklab.lint.finding import Finding

_MERGE = "openstack/devstack@493835a:inc/meta-config: merge_config_file"
RULES = (
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
_KNOWN_NAME = re.compile(r"[A-Z][A-Z0-9_]*")  # DevStack's own: $SERVICE_HOST and the like are meant


def check(file: str, first: int, lines: tuple[str, ...]) -> Iterator[Finding]:
    """Yield every finding in a section's body, whose first line has that number."""
    section = ""
    for number, line in enumerate(lines, start=first):
        if not line.strip() or re.match(r" *#", line):
            continue
        if re.match(r"\[.+\]", line):
            section = line
            yield from _section(file, number, line)
        elif line[0] in " \t":
            yield _BOOK.finding(
                "conf-indented",
                file,
                number,
                "DevStack drops a line that begins with a blank",
                "begin it in the first column; a long value stays on one line",
            )
        elif line[0] == ";":
            yield _BOOK.finding(
                "conf-semicolon",
                file,
                number,
                "DevStack takes the comment for an option: here only # begins a comment",
                "write # instead of ;",
            )
        elif "=" not in line:
            name = line.split()[0]
            yield _BOOK.finding(
                "conf-no-equals",
                file,
                number,
                "DevStack takes the line for the name of an option with an empty value",
                f"[{name.strip('[]')}]"
                if name.startswith("[")
                else f"{name} = VALUE, or # before it",
            )
        elif not section:
            yield _BOOK.finding(
                "conf-no-section",
                file,
                number,
                "DevStack loses the option, because there is not a [section] above it",
                "write [DEFAULT], or the section that is meant, above it",
            )
        else:
            yield from _value(file, number, *(part.strip() for part in line.split("=", 1)))


def _section(file: str, number: int, line: str) -> Iterator[Finding]:
    inside = line[1 : line.index("]")]
    if inside != inside.strip() and inside.startswith(" "):
        yield _BOOK.finding(
            "conf-section-blank",
            file,
            number,
            "the section's name is empty: each option below becomes a section instead",
            f"[{inside.strip()}]",
        )
    elif len(inside.split()) > 1:
        yield _BOOK.finding(
            "conf-section-blank",
            file,
            number,
            f"only the first word counts: what follows goes into [{inside.split()[0]}]",
            "write a name of one word; other sections need a plugin or local.sh",
        )


def _value(file: str, number: int, name: str, value: str) -> Iterator[Finding]:
    if re.search(r"\s#", value):
        yield _BOOK.finding(
            "conf-comment",
            file,
            number,
            "the comment becomes part of the value",
            "put the comment on a line of its own",
        )
        return
    evaluated = re.sub(r"\\(.)", r"\1", value)  # by `read`
    try:
        tokens = list(shell.tokens(f'"{evaluated}"'))
    except shell.UnclosedError:
        tokens = []
    words = [token for token in tokens if isinstance(token, shell.Word)]
    if not tokens:
        yield _BOOK.finding(
            "conf-quotes",
            file,
            number,
            f"DevStack loses {name}, because the quote is never closed",
            r'write \\" for a quote that is to stay',
        )
    elif len(tokens) > 1:
        yield _BOOK.finding(
            "conf-value-blank",
            file,
            number,
            f"the quotes end where they look to begin: {name} gets the first word alone",
            f"{name} = ONE TWO, without quotes",
        )
    elif re.search(r'(?<!\\)"', evaluated) and '"' in value:
        yield _BOOK.finding(
            "conf-quotes",
            file,
            number,
            "the shell removes the quotes",
            f"{name} = VALUE, without quotes",
        )
    elif re.search(r"(?<!\\)(\\\\)*\\(?![\\\"$`])", value):
        yield _BOOK.finding(
            "conf-backslash",
            file,
            number,
            "DevStack drops a single backslash",
            r"write \\ for each",
        )
    elif re.search(r"(^|\s)\*(\s|$)", value):
        yield _BOOK.finding(
            "conf-glob",
            file,
            number,
            "the shell replaces the pattern by names of files in DevStack's directory",
            "write the names themselves, or the option's own word for all",
        )
    for word in words[:1]:
        yield from _expansions(file, number, word)


def _expansions(file: str, number: int, word: shell.Word) -> Iterator[Finding]:
    """Yield references that the shell would expand, though they are not DevStack's.

    Examples are nova's own `$my_ip`, and `$$` in a password.
    """
    for expansion in re.finditer(r"\$(?:\{?([A-Za-z0-9_]+)|(\$)|(\())|(`)", word.live):
        if expansion[3] or (expansion[1] and _KNOWN_NAME.fullmatch(expansion[1])):
            continue
        what = f"${expansion[1]}" if expansion[1] else "$$" if expansion[2] else "a backtick"
        yield _BOOK.finding(
            "conf-expansion",
            file,
            number,
            f"{what} is replaced by the shell before the value is stored",
            f"write \\\\{what}, if it is to stay" if expansion[1] else "write a value without it",
        )
        return
