"""A lab's checks on a terminal: who reaches whom, counts by layer, failures and what to type.

Readable at 80 columns: a matrix takes the widest form that fits, and one of many nodes
is only what fails of it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from stacklab.checks import report
from stacklab.checks.explain.causes import Explained, causes, checks_text
from stacklab.checks.result import CheckResult, CheckStatus
from stacklab.model.lab import Lab
from stacklab.views import failures
from stacklab.views.failures import Group
from stacklab.views.heat import Cell, Grid, grids, spread

STATUS_STYLE = {
    CheckStatus.PASSED: "green",
    CheckStatus.WARNED: "yellow",
    CheckStatus.FAILED: "red",
    CheckStatus.ERROR: "magenta",
}
_MOST_NODES = 20  # in a matrix with a row for each
_MOST_ROWS = 20  # of what fails
_MOST_GROUPS = 20
_MOST_LINES = 12  # of an output or an evidence
_MOST_CAUSES = 10
_MOST_OF_CAUSE = 16  # lines of evidence, which stand for many results
_NAME_MAX = 16
_INDENT = 10
_WHERE_ALL_IS = "(all of them: --html FILE, --json FILE)"
_HANG = "    "  # what is left of a line, so that lines can be told apart
_CHARS = {
    CheckStatus.PASSED: ".",
    CheckStatus.WARNED: "w",
    CheckStatus.FAILED: "X",
    CheckStatus.ERROR: "?",
}


@dataclass(frozen=True, slots=True)
class _MatrixForm:
    """A way to draw a matrix: with names or their numbers, and texts of some width in the cells."""

    has_numbers: bool
    cell_text: Callable[[Cell], str]


def _full_text(cell: Cell) -> str:
    """Return the round trip and the word."""
    return cell.text or "ok"


def _word_text(cell: Cell) -> str:
    """Return the word if there is one, else the round trip."""
    if cell.word:
        return cell.word.partition(" ")[0]
    return _narrow_text(cell)


def _status_char(cell: Cell) -> str:
    """Return one character for how a cell came out."""
    if cell.is_cut:
        return "c"
    return _CHARS[cell.status]


def _narrow_text(cell: Cell) -> str:
    """Return a round trip of three characters, up to a second, or a character for a word."""
    if cell.rtt_ms is None or cell.is_bad:
        return _status_char(cell) if cell.word or cell.is_bad else ""
    if cell.rtt_ms < 9.95:
        return f"{cell.rtt_ms:.1f}"
    return f"{cell.rtt_ms:.0f}"


def _tight_text(cell: Cell) -> str:
    """Return a round trip of two characters at most."""
    if cell.rtt_ms is None or cell.is_bad:
        return _narrow_text(cell)
    if cell.rtt_ms < 1:
        return "<1"
    if cell.rtt_ms < 99.5:
        return f"{cell.rtt_ms:.0f}"
    return "++"


# From the widest to the narrowest: the first that fits is drawn.
_FORMS = (
    _MatrixForm(False, _full_text),
    _MatrixForm(True, _word_text),
    _MatrixForm(True, _narrow_text),
    _MatrixForm(True, _tight_text),
)


def shown(lab: Lab, results: Sequence[CheckResult], width: int) -> list[Text]:
    """Return all of it, paragraph by paragraph."""
    lines: list[Text] = []
    for grid in grids(lab, results):
        lines += [*matrix(grid, width), Text()]
    return [*lines, *layers(results), *problems(lab, results, width)]


def matrix(grid: Grid, width: int) -> list[Text]:
    """Draw one network: a caption, then a row for each node; of many nodes only what fails."""
    caption = Text(grid.caption, "bold")
    if len(grid.names) > _MOST_NODES:
        return [caption, *_failing_rows(grid, width)]
    for form in _FORMS:
        lines = _matrix_rows(grid, form)
        if _widest(lines) <= width:
            return [caption, *lines]
    return [caption, *_failing_rows(grid, width)]


def _widest(lines: Sequence[Text]) -> int:
    return max(line.cell_len for line in lines)


def _short_name(name: str) -> str:
    """Return a name that fits its column."""
    if len(name) <= _NAME_MAX:
        return name
    return name[: _NAME_MAX - 1] + "…"


def _matrix_rows(grid: Grid, form: _MatrixForm) -> list[Text]:
    """Draw the matrix in one of its forms; the slowest way has a star."""
    header = labels = list(grid.names)
    gap = 2
    if form.has_numbers:
        # Columns have numbers for heads; the rows tell whose they are.
        header = [str(number) for number in range(1, len(grid.names) + 1)]
        labels = [f"{n:>2} {_short_name(name)}" for n, name in zip(header, labels, strict=True)]
        gap = 1
    cells: list[list[Text]] = []
    for source in grid.names:
        cells.append([_styled_cell(grid, form, (source, target)) for target in grid.names])
    widths: list[int] = []
    for name, column in zip(header, zip(*cells, strict=True), strict=True):
        widths.append(max(len(name), *(cell.cell_len for cell in column)))
    left = max(map(len, [*labels, "from"]))
    heads = [" " * gap + name.rjust(width) for name, width in zip(header, widths, strict=True)]
    lines = [Text("from".ljust(left) + "".join(heads), "dim")]
    for label, row in zip(labels, cells, strict=True):
        line = Text(label.ljust(left))
        for cell, width in zip(row, widths, strict=True):
            # By hand: a Text's width is not the number of its characters.
            line.append(" " * (gap + width - cell.cell_len)).append_text(cell)
        lines.append(line)
    return lines


def _styled_cell(grid: Grid, form: _MatrixForm, pair: tuple[str, str]) -> Text:
    """Return a cell's text in its colour; the diagonal is a dash, an untried pair is empty."""
    if pair[0] == pair[1]:
        return Text("-", "dim")
    cell = grid.cells.get(pair)
    if cell is None:
        return Text("")
    text = form.cell_text(cell)
    if cell.status is not CheckStatus.PASSED:
        return Text(text, f"bold {STATUS_STYLE[cell.status]}")
    if pair == grid.slowest:
        return Text(text + "*", "bold")
    if cell.word:
        return Text(text, "cyan")
    return Text(text)


def _failing_rows(grid: Grid, width: int) -> Iterator[Text]:
    """Draw what fails between many nodes: a character per cell if a row fits, else words."""
    if not grid.bad:
        return
    mute, deaf, left = spread(grid)
    for names, words in ((mute, "reach nobody"), (deaf, "are reached by nobody")):
        if names:
            room = width - len(words) - 4
            yield Text(f"  {words}: ", "red").append(_listed_words(names, room))
    bad_targets = _by_source(left)
    rows = [name for name in grid.names if name in bad_targets]
    # Whoever reaches nobody, or is reached by nobody, has been named above.
    columns = [name for name in grid.names if name not in deaf]
    label_width = max((len(_short_name(name)) for name in rows), default=0) + 2
    if rows and label_width + len(columns) <= width:
        digits = "".join(_column_digit(grid, name) for name in columns)
        yield Text(" " * label_width + digits, "dim")
        for source in rows[:_MOST_ROWS]:
            yield _row_of_chars(grid, source, columns, label_width)
    else:
        for source in rows[:_MOST_ROWS]:
            yield _row_of_words(grid, source, bad_targets[source], width)
    if len(rows) > _MOST_ROWS:
        yield Text(f"  and {len(rows) - _MOST_ROWS} more nodes {_WHERE_ALL_IS}", "dim")


def _by_source(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the targets of each source."""
    targets: dict[str, list[str]] = {}
    for source, target in pairs:
        targets.setdefault(source, []).append(target)
    return targets


def _row_of_chars(grid: Grid, source: str, columns: Sequence[str], label_width: int) -> Text:
    """Draw a node's row with a character for each target."""
    line = Text(_short_name(source).ljust(label_width))
    for target in columns:
        cell = grid.cells.get((source, target))
        char, style = " ", "dim"
        if source == target:
            char = "-"
        elif cell is not None:
            char = _status_char(cell)
            # What is as it should be stays in the background.
            if char not in ".c":
                style = f"bold {STATUS_STYLE[cell.status]}"
        line.append(char, style)
    return line


def _row_of_words(grid: Grid, source: str, targets: Sequence[str], width: int) -> Text:
    """Name the targets that a node fails to reach, each with what is wrong."""
    words = [f"{target} {grid.cells[source, target].text}" for target in targets]
    head = f"  {_short_name(source)} -> "
    return Text(head, "red").append(_listed_words(words, width - len(head)))


def _column_digit(grid: Grid, name: str) -> str:
    """Return the last digit of a node's number; every tenth is a bar to count by."""
    number = grid.names.index(name) + 1
    return "|" if number % 10 == 0 else str(number % 10)


def _listed_words(words: Sequence[str], width: int) -> str:
    """Join as many words as fit, and say how many more there are."""
    line = words[0] if words else ""  # one word always, however wide
    for place, word in enumerate(words[1:], start=1):
        longer = f"{line}, {word}"
        after = len(words) - place - 1
        more = f" and {after} more" if after else ""
        if len(longer) + len(more) > width:
            return f"{line} and {len(words) - place} more"
        line = longer
    return line


def layers(results: Sequence[CheckResult]) -> list[Text]:
    """Count how the checks of each layer came out."""
    lines = []
    for layer, counts in report.by_layer(results).items():
        passed = counts["passed"] + counts["warned"]
        line = Text(f"{layer:<12}{passed:>6} of {counts['total']} passed")
        for status, count, words in (
            (CheckStatus.WARNED, counts["warned"], "with a warning"),
            (CheckStatus.FAILED, counts["failed"], "failed"),
            (CheckStatus.ERROR, counts["error"], "without an answer"),
        ):
            if count:
                line.append(", ").append(f"{count} {words}", STATUS_STYLE[status])
        lines.append(line)
    return lines


def problems(lab: Lab, results: Sequence[CheckResult], width: int) -> Iterator[Text]:
    """Yield the causes with all they explain, then failures without a cause, then warnings."""
    known = causes(results)
    if known:
        yield from _heading("what is wrong")
    for explained in known[:_MOST_CAUSES]:
        yield from _cause_lines(lab, explained, width)
    yield from _left_out(len(known) - _MOST_CAUSES)
    title = "did not pass, cause unknown" if known else "did not pass"
    yield from _section(lab, title, failures.grouped(results), width)
    yield from _section(lab, "warnings", failures.warned(results), width)


def _section(lab: Lab, title: str, groups: Sequence[Group], width: int) -> Iterator[Text]:
    """Yield groups of results below a title; nothing where there are no groups."""
    if groups:
        yield from _heading(title)
    for group in groups[:_MOST_GROUPS]:
        yield from _group_lines(lab, group, width)
    yield from _left_out(len(groups) - _MOST_GROUPS)


def _heading(title: str) -> Iterator[Text]:
    yield Text()
    yield Text(title, "bold")


def _left_out(count: int) -> Iterator[Text]:
    """Yield how many more there are, if any, and where they are shown."""
    if count > 0:
        yield Text(f"and {count} more {_WHERE_ALL_IS}", "dim")


def _group_lines(lab: Lab, group: Group, width: int) -> Iterator[Text]:
    """Yield what was tried, what came of it, what to type and what was written."""
    result = group.first
    head = "no answer" if result.status is CheckStatus.ERROR else str(result.status)
    title, *further = textwrap.wrap(report.clean(group.title), max(width - _INDENT, 20)) or [""]
    yield Text(f"{head:<{_INDENT}}", STATUS_STYLE[result.status]).append(title, "bold")
    details = [line for detail in group.details for line in _wrapped_lines(detail, width)]
    yield from _indented("", [*further, *details], "")
    if result.command:
        # One line, which the terminal may wrap: it is to be copied.
        yield from _indented("$ ", failures.typed(lab, result).splitlines(), "cyan")
    for text in (failures.said(result), result.evidence):
        if text.strip() and text.strip() != result.detail.strip():
            yield from _indented(
                "| ", _first_lines(_wrapped_lines(text, width, _HANG), _MOST_LINES), "dim"
            )


def _cause_lines(lab: Lab, group: Explained, width: int) -> Iterator[Text]:
    """Yield a cause in red, then what it explains, what to type and what was found out."""
    text = report.clean(group.cause.text)
    title, *further = textwrap.wrap(text, max(width - _INDENT, 20)) or [""]
    yield Text(f"{'cause':<{_INDENT}}", "red").append(title, "bold")
    explains = f"{checks_text(len(group.results))}: {group.scope}"
    yield from _indented("", [*further, *_wrapped_lines(explains, width)], "")
    command = failures.remedy(lab, group)
    if command:
        yield from _indented("$ ", command.splitlines(), "cyan")
    evidence = _wrapped_lines(group.evidence, width, _HANG)
    yield from _indented("| ", _first_lines(evidence, _MOST_OF_CAUSE), "dim")


def _wrapped_lines(text: str, width: int, hang: str = "") -> list[str]:
    """Wrap a text's lines to the width; `hang` stands before what is left of one."""
    room = max(width - _INDENT - 2, 20)
    wrapped: list[str] = []
    for line in report.clean(text).splitlines():
        wrapped += textwrap.wrap(line.expandtabs().rstrip(), room, subsequent_indent=hang)
    return wrapped


def _indented(mark: str, lines: Sequence[str], style: str) -> Iterator[Text]:
    """Yield lines below a title, each behind a mark; they are not wrapped again."""
    for line in lines:
        yield Text(" " * _INDENT + mark + line, style, no_wrap=True, overflow="ignore")


def _first_lines(lines: Sequence[str], most: int) -> Sequence[str]:
    """Return the first lines of a text, and the number of those left out."""
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], f"... {len(lines) - most + 1} more lines"]
