"""Rules for the form of an answer file: its sections, its lines, and keys that are there twice."""

from __future__ import annotations

from collections.abc import Iterator

from stacklab.installers.packstack.lint import ini
from stacklab.installers.packstack.lint.ini import SectionHeader
from stacklab.installers.packstack.lint.read import AnswerFile
from stacklab.lint.book import Book, rule
from stacklab.lint.finding import Finding

_RUN = "packstack@26.0.0:packstack/installer/run_setup.py"
RULES = (
    rule(
        "packstack-no-general",
        "a missing [general], or something before it",
        f"{_RUN}: _handleAnswerFileParams",
    ),
    rule(
        "packstack-two-general",
        "[general] twice",
        "Python 3: configparser.RawConfigParser(strict=True)",
    ),
    rule(
        "packstack-other-section",
        "keys in a section that is not [general]",
        f"{_RUN}: _loadParamFromFile",
    ),
    rule(
        "packstack-no-assignment",
        "a line that is not key=value",
        "Python: configparser, ParsingError",
    ),
    rule(
        "packstack-continuation",
        "a line that begins with a blank",
        "Python: configparser, continuation lines",
    ),
    rule(
        "packstack-duplicate-key",
        "a key that is given twice",
        "Python 3: configparser, DuplicateOptionError",
    ),
)
_BOOK = Book(RULES)


def check(reading: AnswerFile) -> Iterator[Finding]:
    """Yield what keeps the parser from reading the file as it was meant."""
    yield from _check_general(reading)
    yield from _check_sections(reading)
    yield from _check_lines(reading)


def _check_general(reading: AnswerFile) -> Iterator[Finding]:
    """Yield a finding if the section that Packstack reads cannot be found."""
    answers = reading.answers
    # Before any header, an assignment is an error of its own to the parser.
    if answers.homeless:
        line = answers.homeless
        effect = "Packstack stops: `File contains no section headers`"
    elif not answers.has_general:
        near = _find_misspelt_general(reading)
        line = near.line if near is not None else 0
        effect = "Packstack stops: `No section: 'general'`"
        if near is not None:
            effect += f", as [{near.name}] is another one"
    else:
        return
    yield _BOOK.finding(
        "packstack-no-general",
        reading.file,
        line,
        effect=effect,
        fix="write [general] as the first line",
    )


def _find_misspelt_general(reading: AnswerFile) -> SectionHeader | None:
    """Return a header such as [General] or [ general ]: sections are case-sensitive."""
    for header in reading.answers.headers:
        if header.name.strip().lower() == ini.SECTION:
            return header
    return None


def _check_sections(reading: AnswerFile) -> Iterator[Finding]:
    """Yield sections that are there twice, or that hold keys which are not read."""
    answers = reading.answers
    for header in answers.headers:
        # Python 2's parser merges equal sections.
        if header.again and not reading.is_python2:
            yield _BOOK.finding(
                "packstack-two-general",
                reading.file,
                header.line,
                effect=(
                    f"Packstack stops: `section '{header.name}' already exists` (line "
                    f"{header.again})"
                ),
                fix="remove this line",
            )
    if not answers.has_general:
        return  # which is told already
    for header in answers.headers:
        # A section's keys are counted at its first header.
        if header.again or header.name in (ini.SECTION, ini.SHARED_SECTION):
            continue
        unread = [entry for entry in answers.entries if entry.section == header.name]
        if unread:
            yield _BOOK.finding(
                "packstack-other-section",
                reading.file,
                header.line,
                effect=(
                    f"Packstack does not read the {len(unread)} keys of [{header.name}], "
                    "but those of [general] alone"
                ),
                fix=f"remove the line [{header.name}]",
            )


def _check_lines(reading: AnswerFile) -> Iterator[Finding]:
    """Yield lines that are not assignments, or that continue the one above them."""
    for line in reading.answers.broken:
        yield _BOOK.finding(
            "packstack-no-assignment",
            reading.file,
            line,
            effect="Packstack stops: `Source contains parsing errors`",
            fix="write KEY=value, or put # before it",
        )
    for entry in reading.answers.entries:
        if entry.joined:
            yield _BOOK.finding(
                "packstack-continuation",
                reading.file,
                entry.joined[0],
                effect=(
                    f"a line that begins with a blank continues the value of {entry.key} (line "
                    f"{entry.line}); what is set in it stays unset"
                ),
                fix="remove the blank",
            )


def check_duplicates(reading: AnswerFile) -> Iterator[Finding]:
    """Yield keys that are given again in the same section."""
    # In another section the same key is another one, even if nobody reads it.
    first_lines: dict[tuple[str, str], int] = {}
    for entry in reading.answers.entries:
        first = first_lines.setdefault((entry.section, entry.key), entry.line)
        if first == entry.line:
            continue
        # Python 2's parser does not mind, Python 3's does.
        effect = f"line {first} is ignored: the last one wins"
        if not reading.is_python2:
            effect = (
                f"Packstack stops: `option '{entry.key.lower()}' in section '{entry.section}' "
                "already exists`"
            )
        yield _BOOK.finding(
            "packstack-duplicate-key",
            reading.file,
            entry.line,
            effect=effect,
            fix=f"remove line {first} or line {entry.line}",
        )
