"""A check run as one page that needs nothing else: no network, no fonts, no scripts of others.

What a reader needs is in the markup and readable without scripts; the results stand
beside it as JSON, which the page's script lists, and searches for what was clicked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from markupsafe import Markup

from stacklab.checks import report
from stacklab.checks.explain.causes import Explained, causes, checks_text
from stacklab.checks.outcome import Outcome
from stacklab.checks.result import CheckResult, CheckStatus, Layer
from stacklab.model.lab import Lab
from stacklab.typed import as_typed
from stacklab.views.checks import failures
from stacklab.views.checks.heat import (
    BANDS_MS,
    CUT,
    MAYBE_CUT,
    Cell,
    Grid,
    band_of_rtt,
    build_grids,
    rtt_text,
    split_failures,
)
from stacklab.views.drawing import graph
from stacklab.views.page import cloud
from stacklab.views.page.parts import TEMPLATES, load_template, policy_hash

_MOST_SHOWN = 100  # of what did not pass, in the markup; the list of all checks has the rest
_MOST_LINKS = 200  # to the checks that a cause explains; the list of all checks has the rest
_MOST_CELLS = 40  # nodes whose matrix is a table; of more it is painted
_MOST_WIDE_COLUMNS = 8  # their names lie flat, and their cells have words
# Characters of outputs and evidence: a browser has to be able to open the page.
_MOST_TEXT = 12_000_000
_CHUNK = 10_000  # items of a column
_SIGNS = {
    CheckStatus.PASSED: "✓",
    CheckStatus.WARNED: "!",
    CheckStatus.FAILED: "✗",
    CheckStatus.ERROR: "?",
}
_WORDS = {
    CheckStatus.PASSED: "passed",
    CheckStatus.WARNED: "warning",
    CheckStatus.FAILED: "failed",
    CheckStatus.ERROR: "no answer",
}
_CUT_MEANINGS = {CUT: "as expected", MAYBE_CUT: "something fails, as it may"}
# What the run as a whole came to, by its verdict.
_HEADLINES = {
    CheckStatus.PASSED: "all {total} checks passed",
    CheckStatus.WARNED: "all {total} checks passed, {warned} with a warning",
    CheckStatus.FAILED: "{failed} of {total} checks failed",
    CheckStatus.ERROR: "{error} of {total} checks had no answer",
}
# Counts at the head of the page; a layer shows all of them but the first.
_COUNT_WORDS = {
    "passed": "passed",
    "warned": "with a warning",
    "failed": "failed",
    "error": "without an answer",
}
_LEFT_OUT = "left out, the page would be too large: lab.check --json FILE has it"


def page_parts(run: Outcome) -> Iterator[str]:
    """Yield the page, piece by piece."""
    yield from map(as_typed, _page_parts(run))


def _page_parts(run: Outcome) -> Iterator[str]:
    """Yield the page, whose commands are those of a checkout."""
    counts = report.summary(run.results)
    verdict = report.verdict(counts)
    grids = build_grids(run.lab, run.results)
    bad = _bad_places(run.results, grids)
    css = (TEMPLATES / "report.css").read_text()
    js = (TEMPLATES / "report.js").read_text()
    count_of_status = dict(counts)
    head_counts: list[tuple[str, str, object]] = []
    for status, words in _COUNT_WORDS.items():
        head_counts.append((status, words, count_of_status[status]))
    yield from load_template("report.html").generate(
        lab=run.lab,
        verdict=verdict,
        sign=_SIGNS[verdict],
        headline=_HEADLINES[verdict].format(**counts),
        started=report.stamp(run.started_at),
        started_text=report.stamp(run.started_at, "%Y-%m-%d %H:%M UTC"),
        took=_seconds_text(run.elapsed_s),
        counts=head_counts,
        shown_counts=list(_COUNT_WORDS.items())[1:],
        causes=_shown_causes(run),
        groups=failures.group_failures(run.results),
        warned=failures.group_warnings(run.results),
        most=_MOST_SHOWN,
        words_of=_WORDS,
        typed=lambda result: failures.command_to_try(run.lab, result),
        said=failures.output_to_read,
        # Markup: these are not escaped again. Each of them has escaped what a user or a node wrote.
        picture=Markup(graph.svg(run.lab, bad=bad, style="")),
        has_bad_links=bool(bad),
        cloud_picture=Markup(cloud.svg(run.lab, run.results)),
        proof=cloud.proof_steps(run.results),
        cut_keys=_legend_of_cuts(grids),
        grids=[_ShownMatrix(grid) for grid in grids],
        bands=_band_texts(),
        layers=report.by_layer(run.results),
        css=Markup(css),
        css_hash=policy_hash(css),
        js=Markup(js),
        js_hash=policy_hash(js),
        data=map(Markup, _data_parts(run)),
    )


def _legend_of_cuts(grids: Iterable[Grid]) -> list[tuple[str, str]]:
    """Return the words for cut ways, with their meanings: only those that stand in a cell."""
    words: set[str] = set()
    for grid in grids:
        words.update(cell.word for cell in grid.cells.values())
    return [(word, meaning) for word, meaning in _CUT_MEANINGS.items() if word in words]


def _shown_causes(run: Outcome) -> list[_ShownCause]:
    # By identity: results are large to compare, and the causes hold these very objects.
    places = {id(result): at for at, result in enumerate(run.results) if result.cause}
    return [_ShownCause(run.lab, group, places) for group in causes(run.results)]


class _ShownCause:
    """A cause as the template takes it; its checks are named by their places in the list of all."""

    def __init__(self, lab: Lab, group: Explained, places: Mapping[int, int]) -> None:
        self.text = group.cause.text
        self.scope = group.scope
        self.evidence = group.evidence
        self.command = failures.command_to_repair(lab, group)
        self.count = checks_text(len(group.results))
        self.checks = [
            (places[id(result)], result.check.title, result.detail)
            for result in group.results[:_MOST_LINKS]
        ]
        self.left = len(group.results) - len(self.checks)


def _seconds_text(elapsed_s: float) -> str:
    minutes, seconds = divmod(elapsed_s, 60)
    if minutes:
        return f"{minutes:.0f} min {seconds:.0f} s"
    return f"{seconds:.1f} s"


def _band_texts() -> list[str]:
    """Return the legend: <1, 1-3, ..., 100 and more."""
    limits = [f"{limit:g}" for limit in BANDS_MS]
    between = [f"{low}-{high}" for low, high in pairwise(limits)]
    return [f"<{limits[0]}", *between, f"≥{limits[-1]}"]


@dataclass(frozen=True, slots=True)
class _PaintedCell:
    """A cell as the table shows it."""

    style: str
    text: str
    words: str


class _ShownMatrix:
    """A grid as the template takes it."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.network = grid.network
        self.names = grid.names
        self.caption = grid.caption
        self.is_small = len(grid.names) <= _MOST_CELLS
        self.has_many = len(grid.names) > _MOST_WIDE_COLUMNS

    @property
    def names_json(self) -> Markup:
        """The names of its nodes, for the script that paints it."""
        return Markup(_script_json(list(self.names)))

    @property
    def rows(self) -> Iterator[tuple[str, bool, list[tuple[str, _PaintedCell | None]]]]:
        """The rows: a node, True if something of its row is bad, and its cells."""
        for source in self.names:
            is_bad = False
            painted: list[tuple[str, _PaintedCell | None]] = []
            for target in self.names:
                cell = self.grid.cells.get((source, target))
                if cell is None:  # the node itself, or a pair that was not tried
                    painted.append((target, None))
                    continue
                painted.append((target, self._paint_cell(cell)))
                is_bad = is_bad or cell.is_bad
            yield source, is_bad, painted

    def _paint_cell(self, cell: Cell) -> _PaintedCell:
        """Return how a cell is painted."""
        if cell.status is CheckStatus.PASSED:
            return _paint_passed(cell, is_worded=not self.has_many)
        text = cell.text
        if self.has_many:
            # Among many columns a wide cell would push the others out of sight.
            text = cell.word.removeprefix("some ")
        return _PaintedCell(
            style=cell.status.value,
            text=text,
            words=f"{_WORDS[cell.status]}, {cell.text}",
        )


def _paint_passed(cell: Cell, *, is_worded: bool) -> _PaintedCell:
    """Paint a cell that passed: by the band of its round trip, or as cut."""
    meaning = _CUT_MEANINGS.get(cell.word, "")
    if cell.rtt_ms is None:
        return _PaintedCell(
            style="cut" if cell.word else "plainly",
            text=cell.word or "ok",
            words=f"{cell.word}: {meaning}" if meaning else "passed",
        )
    trip = rtt_text(cell.rtt_ms)
    return _PaintedCell(
        style=f"b{band_of_rtt(cell.rtt_ms)}",
        text=cell.text if is_worded else trip,
        words=f"{trip} ms, {meaning}" if meaning else f"{trip} ms",
    )


def _bad_places(results: Iterable[CheckResult], shown: Sequence[Grid]) -> set[tuple[str, str]]:
    """Return nodes that are not as declared, and NICs that failures have in common.

    A node that merely lost a dead one is not among them.
    """
    bad: set[tuple[str, str]] = set()
    for result in results:
        if not result.is_passed and result.check.kind.layer is Layer.NODES:
            bad.add((result.check.node, ""))
    for grid in shown:
        mute, deaf, others = split_failures(grid)
        names = {*mute, *deaf}
        for pair in others:
            names.update(pair)
        for name in names:
            bad.add((name, grid.network))
    return bad


# The columns of the page's data: names that report.js knows, and the word in each row.
_COLUMNS: Mapping[str, Callable[[CheckResult], str]] = {
    "layer": lambda result: result.check.kind.layer,
    "kind": lambda result: result.check.kind,
    "node": lambda result: result.check.node,
    "target": lambda result: result.check.target,
    "network": lambda result: result.check.network,
    "address": lambda result: result.check.address,
    "device": lambda result: result.check.device,
    "subject": lambda result: result.check.subject,
    "status": lambda result: result.status,
    "reason": lambda result: result.reason,
    "detail": lambda result: report.clean(result.sentence),
}


def _data_parts(run: Outcome) -> Iterator[str]:
    """Yield all results as columns of numbers into one list of words.

    That takes some thirty characters per check.
    """
    numbers: dict[str, int] = {}  # by word; each in the order in which it came up

    def number_of_word(word: str) -> str:
        number = numbers.setdefault(word, len(numbers))
        return str(number)

    yield '{"columns":{'
    comma = ""
    for name, word_of in _COLUMNS.items():
        yield f'{comma}"{name}":['
        yield from _join_chunks(number_of_word(word_of(result)) for result in run.results)
        yield "]"
        comma = ","
    yield '},"rtt":['
    yield from _join_chunks(_rtt_number(result.rtt_ms) for result in run.results)
    yield '],"texts":{'
    yield from _text_parts(run.lab, run.results)
    # Last, since the words are known only when all columns are written.
    yield f'}},"bands":{_script_json(list(BANDS_MS))},"words":{_script_json(list(numbers))}}}'


def _join_chunks(items: Iterator[str]) -> Iterator[str]:
    """Join items with commas, some thousand at a time: whole, a column would fill the memory."""
    comma = ""
    while chunk := list(islice(items, _CHUNK)):
        yield comma + ",".join(chunk)
        comma = ","


def _rtt_number(rtt_ms: float | None) -> str:
    """Write a round trip with three significant digits; 0 for none."""
    if not rtt_ms:
        return "0"
    digits_before_point = math.floor(math.log10(rtt_ms))
    return f"{round(rtt_ms, max(0, 2 - digits_before_point)):g}"


def _text_parts(lab: Lab, results: Sequence[CheckResult]) -> Iterator[str]:
    """Yield of each result that has them: what to type, its output, its evidence."""
    room = _MOST_TEXT
    comma = ""
    for at, result in enumerate(results):
        has_text = result.command or result.output or result.evidence
        if not has_text:
            continue
        texts = [
            report.clean(failures.command_to_try(lab, result)),
            report.clean(failures.output_to_read(result)),
            report.clean(result.evidence),
        ]
        room -= sum(map(len, texts))
        if room < 0:
            texts = ["", "", _LEFT_OUT]
        yield f'{comma}"{at}":{_script_json(texts)}'
        comma = ","


def _script_json(value: Sequence[str] | Sequence[float]) -> str:
    """Return JSON that may stand in a script element, whatever a node wrote."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
