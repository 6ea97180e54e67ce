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
_HANG = "    "  # what is left of a line, so that lines can be told apart
_CHARS = {
    CheckStatus.PASSED: ".",
    CheckStatus.WARNED: "w",
    CheckStatus.FAILED: "X",
    CheckStatus.ERROR: "?",
}


@dataclass(frozen=True, slots=True)
class _MatrixForm:
    """How wide a matrix is drawn: numbers for names, shorter texts in the cells."""

    has_numbers: bool
    cell: Callable[[Cell], str]


def _word_text(cell: Cell) -> str:
    return cell.word.partition(" ")[0] if cell.word else _narrow_text(cell)


def _status_char(cell: Cell) -> str:
    return "c" if cell.is_cut else _CHARS[cell.status]


def _narrow_text(cell: Cell) -> str:
    if cell.rtt_ms is None or cell.is_bad:
        return _status_char(cell) if cell.word or cell.is_bad else ""
    return f"{cell.rtt_ms:.1f}" if cell.rtt_ms < 9.95 else f"{cell.rtt_ms:.0f}"


def _tight_text(cell: Cell) -> str:
    if cell.rtt_ms is None or cell.is_bad:
        return _narrow_text(cell)
    return "<1" if cell.rtt_ms < 1 else f"{cell.rtt_ms:.0f}" if cell.rtt_ms < 99.5 else "++"


_FORMS = (
    _MatrixForm(False, lambda cell: cell.text or "ok"),
    _MatrixForm(True, _word_text),
    _MatrixForm(True, _narrow_text),
    _MatrixForm(True, _tight_text),
)


def shown(lab: Lab, results: Sequence[CheckResult], width: int) -> list[Text]:
    """Return all of it, paragraph by paragraph."""
    made = [line for grid in grids(lab, results) for line in (*matrix(grid, width), Text())]
    made += [*layers(results), *problems(lab, results, width)]
    return made


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
    return name if len(name) <= _NAME_MAX else name[: _NAME_MAX - 1] + "…"


def _matrix_rows(grid: Grid, form: _MatrixForm) -> list[Text]:
    """Draw the matrix in one of its forms; the slowest way has a star."""
    numbers = [str(number) for number in range(1, len(grid.names) + 1)]
    header = numbers if form.has_numbers else list(grid.names)
    labels = [f"{n:>2} {_short_name(name)}" for n, name in zip(numbers, grid.names, strict=True)]
    if not form.has_numbers:
        labels = list(grid.names)
    left = max(map(len, [*labels, "from"]))
    cells = [
        [_styled_cell(grid, form, (source, target)) for target in grid.names]
        for source in grid.names
    ]
    widths = [
        max(len(name), *(row[at].cell_len for row in cells)) for at, name in enumerate(header)
    ]
    gap = 1 if form.has_numbers else 2
    heads = "".join(" " * gap + name.rjust(wide) for name, wide in zip(header, widths, strict=True))
    lines = [Text("from".ljust(left) + heads, "dim")]
    for label, row in zip(labels, cells, strict=True):
        line = Text(label.ljust(left))
        for cell, wide in zip(row, widths, strict=True):
            line.append(" " * (gap + wide - cell.cell_len)).append_text(cell)
        lines.append(line)
    return lines


def _styled_cell(grid: Grid, form: _MatrixForm, pair: tuple[str, str]) -> Text:
    if pair[0] == pair[1]:
        return Text("-", "dim")
    cell = grid.cells.get(pair)
    if cell is None:
        return Text("")
    if cell.status is not CheckStatus.PASSED:
        return Text(form.cell(cell), f"bold {STATUS_STYLE[cell.status]}")
    if pair == grid.slowest:
        return Text(form.cell(cell) + "*", "bold")
    if cell.word:
        return Text(form.cell(cell), "cyan")
    return Text(form.cell(cell))


def _failing_rows(grid: Grid, width: int) -> Iterator[Text]:
    """Draw what fails between many nodes: a character per cell if a row fits, else words."""
    if not grid.bad:
        return
    mute, deaf, left = spread(grid)
    for names, words in ((mute, "reach nobody"), (deaf, "are reached by nobody")):
        if names:
            yield Text(f"  {words}: ", "red").append(_listed_words(names, width - len(words) - 4))
    rows = [name for name in grid.names if any(source == name for source, _ in left)]
    columns = [name for name in grid.names if name not in deaf]
    label = max((len(_short_name(name)) for name in rows), default=0) + 2
    if rows and label + len(columns) <= width:
        yield Text(" " * label + "".join(_column_digit(grid, name) for name in columns), "dim")
    for source in rows[:_MOST_ROWS]:
        if label + len(columns) <= width:
            line = Text(_short_name(source).ljust(label))
            for target in columns:
                cell = grid.cells.get((source, target))
                char = "-" if source == target else " " if cell is None else _status_char(cell)
                line.append(
                    char,
                    f"bold {STATUS_STYLE[cell.status]}" if cell and char not in ".c" else "dim",
                )
            yield line
        else:
            bad = [
                f"{target} {grid.cells[source, target].text}" for at, target in left if at == source
            ]
            head = f"  {_short_name(source)} -> "
            yield Text(head, "red").append(_listed_words(bad, width - len(head)))
    if len(rows) > _MOST_ROWS:
        yield Text(
            f"  and {len(rows) - _MOST_ROWS} more nodes (all of them: --html FILE, --json FILE)",
            "dim",
        )


def _column_digit(grid: Grid, name: str) -> str:
    """Return the last digit of a node's number; every tenth is a bar to count by."""
    number = grid.names.index(name) + 1
    return "|" if number % 10 == 0 else str(number % 10)


def _listed_words(words: Sequence[str], width: int) -> str:
    """Join as many words as fit, and say how many more there are."""
    line = ""
    for at, word in enumerate(words):
        more = f" and {len(words) - at - 1} more" if at + 1 < len(words) else ""
        longer = f"{line}, {word}" if line else word
        if line and len(longer) + len(more) > width:
            return f"{line} and {len(words) - at} more"
        line = longer
    return line


def layers(results: Sequence[CheckResult]) -> list[Text]:
    """Count how the checks of each layer came out."""
    lines = []
    for layer, counts in report.by_layer(results).items():
        line = Text(f"{layer:<12}").append(
            f"{counts['passed'] + counts['warned']:>6} of {counts['total']} passed"
        )
        for key, words in (
            ("warned", "with a warning"),
            ("failed", "failed"),
            ("error", "without an answer"),
        ):
            if count := counts[key]:  # type: ignore[literal-required]
                line.append(", ").append(f"{count} {words}", STATUS_STYLE[CheckStatus(key)])
        lines.append(line)
    return lines


def problems(lab: Lab, results: Sequence[CheckResult], width: int) -> Iterator[Text]:
    """Yield the causes with all they explain, then failures without a cause, then warnings."""
    known = causes(results)
    if known:
        yield Text()
        yield Text("what is wrong", "bold")
    for explained in known[:_MOST_CAUSES]:
        yield from _cause_lines(lab, explained, width)
    if len(known) > _MOST_CAUSES:
        yield Text(
            f"and {len(known) - _MOST_CAUSES} more (all of them: --html FILE, --json FILE)", "dim"
        )
    rest = "did not pass, cause unknown" if known else "did not pass"
    found = ((failures.grouped(results), rest), (failures.warned(results), "warnings"))
    for groups, title in found:
        if groups:
            yield Text()
            yield Text(title, "bold")
        for group in groups[:_MOST_GROUPS]:
            yield from _group_lines(lab, group, width)
        if len(groups) > _MOST_GROUPS:
            yield Text(
                f"and {len(groups) - _MOST_GROUPS} more (all of them: --html FILE, --json FILE)",
                "dim",
            )


def _group_lines(lab: Lab, group: Group, width: int) -> Iterator[Text]:
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
    lines = (line.expandtabs().rstrip() for line in report.clean(text).splitlines())
    room = max(width - _INDENT - 2, 20)
    return [part for line in lines for part in textwrap.wrap(line, room, subsequent_indent=hang)]


def _indented(mark: str, lines: Sequence[str], style: str) -> Iterator[Text]:
    for line in lines:
        yield Text(" " * _INDENT + mark + line, style, no_wrap=True, overflow="ignore")


def _first_lines(lines: Sequence[str], most: int) -> Sequence[str]:
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], f"... {len(lines) - most + 1} more lines"]
