"""A lab's checks on a terminal: who reaches whom, counts by layer, failures and what to type.

Readable at 80 columns: a matrix takes the widest form that fits, and one of many nodes
is only what fails of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from stacklab.checks import report
from stacklab.checks.result import CheckResult, CheckStatus
from stacklab.model.lab import Lab
from stacklab.views.checks import failures
from stacklab.views.checks.failures import STATUS_STYLE
from stacklab.views.checks.heat import Cell, Grid, build_grids, split_failures

_MOST_NODES = 20  # in a matrix with a row for each
_MOST_ROWS = 20  # of what fails
_LONGEST_NAME = 16
_STATUS_CHARS = {
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
    return _STATUS_CHARS[cell.status]


def _narrow_text(cell: Cell) -> str:
    """Return a round trip of three characters, up to a second, or a character for a word."""
    if cell.is_bad:
        return _status_char(cell)
    if cell.rtt_ms is None:
        return _status_char(cell) if cell.word else ""
    # From 9.95 on, one decimal would be rounded to 10.0, which has four characters.
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
    _MatrixForm(has_numbers=False, cell_text=_full_text),
    _MatrixForm(has_numbers=True, cell_text=_word_text),
    _MatrixForm(has_numbers=True, cell_text=_narrow_text),
    _MatrixForm(has_numbers=True, cell_text=_tight_text),
)


def draw_results(lab: Lab, results: Sequence[CheckResult], width: int) -> list[Text]:
    """Return all of it, paragraph by paragraph."""
    lines: list[Text] = []
    for grid in build_grids(lab, results):
        lines += draw_matrix(grid, width)
        lines.append(Text())
    lines += count_layers(results)
    lines += failures.list_problems(lab, results, width)
    return lines


def draw_matrix(grid: Grid, width: int) -> list[Text]:
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
    if len(name) <= _LONGEST_NAME:
        return name
    return name[: _LONGEST_NAME - 1] + "…"


def _matrix_rows(grid: Grid, form: _MatrixForm) -> list[Text]:
    """Draw the matrix in one of its forms; the slowest way has a star."""
    heads, labels = _column_heads(grid, form), _row_labels(grid, form)
    gap = 1 if form.has_numbers else 2
    rows: list[list[Text]] = []
    for source in grid.names:
        rows.append([_styled_cell(grid, form, (source, target)) for target in grid.names])
    widths = [len(head) for head in heads]
    for row in rows:
        for column, cell in enumerate(row):
            widths[column] = max(widths[column], cell.cell_len)
    corner = "from"
    label_width = max(map(len, [*labels, corner]))
    header = corner.ljust(label_width)
    for head, width in zip(heads, widths, strict=True):
        header += " " * gap + head.rjust(width)
    lines = [Text(header, "dim")]
    for label, row in zip(labels, rows, strict=True):
        line = Text(label.ljust(label_width))
        for cell, width in zip(row, widths, strict=True):
            # By hand: a Text's width is not the number of its characters.
            line.append(" " * (gap + width - cell.cell_len))
            line.append_text(cell)
        lines.append(line)
    return lines


def _column_heads(grid: Grid, form: _MatrixForm) -> list[str]:
    """Return the heads of the columns: names, or numbers, and then rows tell whose they are."""
    if not form.has_numbers:
        return list(grid.names)
    return [str(number) for number in range(1, len(grid.names) + 1)]


def _row_labels(grid: Grid, form: _MatrixForm) -> list[str]:
    if not form.has_numbers:
        return list(grid.names)
    return [f"{n:>2} {_short_name(name)}" for n, name in enumerate(grid.names, start=1)]


def _styled_cell(grid: Grid, form: _MatrixForm, pair: tuple[str, str]) -> Text:
    """Return a cell's text in its colour; the diagonal is a dash, an untried pair is empty."""
    source, target = pair
    if source == target:
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
    mute, deaf, others = split_failures(grid)
    yield from _list_nodes("reach nobody", mute, width)
    yield from _list_nodes("are reached by nobody", deaf, width)
    bad_targets = _group_by_source(others)
    sources = [name for name in grid.names if name in bad_targets]
    if not sources:
        return
    shown_sources = sources[:_MOST_ROWS]
    # Whoever reaches nobody, or is reached by nobody, has been named above.
    columns = [name for name in grid.names if name not in deaf]
    # Of all rows, not only of those that are shown.
    label_width = max(len(_short_name(name)) for name in sources) + 2
    if label_width + len(columns) <= width:
        digits = "".join(_column_digit(grid, name) for name in columns)
        yield Text(" " * label_width + digits, "dim")
        for source in shown_sources:
            yield _row_of_chars(grid, source, columns, label_width)
    else:
        for source in shown_sources:
            yield _row_of_words(grid, source, bad_targets[source], width)
    hidden = len(sources) - len(shown_sources)
    if hidden:
        yield Text(f"  and {hidden} more nodes {failures.WHERE_ALL_IS}", "dim")


def _list_nodes(words: str, names: Sequence[str], width: int) -> Iterator[Text]:
    """Yield a line that names the nodes which have something in common; nothing for none."""
    if names:
        head = f"  {words}: "
        yield Text(head, "red").append(_join_fitting(names, width - len(head)))


def _group_by_source(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
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
        if source == target:
            line.append("-", "dim")
        elif cell is None:
            line.append(" ", "dim")
        else:
            line.append(*_char_and_style(cell))
    return line


def _char_and_style(cell: Cell) -> tuple[str, str]:
    char = _status_char(cell)
    # What is as it should be stays in the background.
    if char in ".c":
        return char, "dim"
    return char, f"bold {STATUS_STYLE[cell.status]}"


def _row_of_words(grid: Grid, source: str, targets: Sequence[str], width: int) -> Text:
    """Name the targets that a node fails to reach, each with what is wrong."""
    phrases: list[str] = []
    for target in targets:
        cell = grid.cells[source, target]
        phrases.append(f"{target} {cell.text}")
    head = f"  {_short_name(source)} -> "
    return Text(head, "red").append(_join_fitting(phrases, width - len(head)))


def _column_digit(grid: Grid, name: str) -> str:
    """Return the last digit of a node's number; every tenth is a bar to count by."""
    number = grid.names.index(name) + 1
    return "|" if number % 10 == 0 else str(number % 10)


def _join_fitting(phrases: Sequence[str], width: int) -> str:
    """Join as many phrases as fit, and say how many more there are."""
    line = phrases[0]  # one always, however wide
    for place, phrase in enumerate(phrases[1:], start=1):
        longer = f"{line}, {phrase}"
        # Of the last phrase nothing is left to say, so it needs less room.
        left_after = len(phrases) - place - 1
        more = f" and {left_after} more" if left_after else ""
        if len(longer) + len(more) > width:
            return f"{line} and {left_after + 1} more"
        line = longer
    return line


def count_layers(results: Sequence[CheckResult]) -> list[Text]:
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
