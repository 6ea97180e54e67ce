"""A check run as one page that needs nothing else: no network, no fonts, no scripts of others.

What a reader needs is in the markup and readable without scripts; the results stand
beside it as JSON, which the page's script lists, and searches for what was clicked.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import jinja2
from markupsafe import Markup

from stacklab.checks import report
from stacklab.checks.explain.causes import Explained, causes, checks_text
from stacklab.checks.outcome import Outcome
from stacklab.checks.result import CheckResult, CheckStatus, Layer
from stacklab.model.lab import Lab
from stacklab.views import failures, graph
from stacklab.views.heat import BANDS_MS, CUT, MAYBE_CUT, Cell, Grid, band, grids, rtt_text, spread

_TEMPLATES = Path(__file__).parent / "templates"
_MOST_SHOWN = 100  # of what did not pass, in the markup; the list of all checks has the rest
_MOST_LINKS = 200  # to the checks that a cause explains; the list of all checks has the rest
_MOST_CELLS = 40  # nodes whose matrix is a table; of more it is painted
_FEW = 8  # columns whose names lie flat
# Characters of outputs and evidence: a browser has to be able to open the page.
_TEXTS_MAX = 12_000_000
_AT_ONCE = 10_000
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
_CUT_KEYS = ((CUT, "as expected"), (MAYBE_CUT, "something fails, as it may"))
_LEFT_OUT = "left out, the page would be too large: lab.check --json FILE has it"


def parts(run: Outcome) -> Iterator[str]:
    """Yield the page, piece by piece."""
    counts = report.summary(run.results)
    verdict = report.verdict(counts)
    made = [_ShownMatrix(grid) for grid in grids(run.lab, run.results)]
    bad = _bad_places(run.results, [matrix.grid for matrix in made])
    known = causes(run.results)
    places = {id(result): at for at, result in enumerate(run.results) if result.cause}
    words: set[str] = set()  # of cells: only these are in the legend
    for matrix in made:
        words.update(cell.word for cell in matrix.grid.cells.values())
    css, js = ((_TEMPLATES / name).read_text() for name in ("report.css", "report.js"))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clean"] = report.clean
    yield from environment.get_template("report.html").generate(
        lab=run.lab,
        verdict=verdict,
        sign=_SIGNS[verdict],
        headline=_headline(counts, verdict),
        started=report.stamp(run.started_at),
        started_text=report.stamp(run.started_at, "%Y-%m-%d %H:%M UTC"),
        took=_seconds_text(run.elapsed_s),
        counts=[
            ("passed", "passed", counts["passed"]),
            ("warned", "with a warning", counts["warned"]),
            ("failed", "failed", counts["failed"]),
            ("error", "without an answer", counts["error"]),
        ],
        shown_counts=[
            ("warned", "with a warning"),
            ("failed", "failed"),
            ("error", "without an answer"),
        ],
        causes=[_ShownCause(run.lab, group, places) for group in known],
        groups=failures.grouped(run.results),
        warned=failures.warned(run.results),
        most=_MOST_SHOWN,
        words_of=_WORDS,
        typed=lambda result: failures.typed(run.lab, result),
        said=failures.said,
        picture=Markup(graph.svg(run.lab, bad=bad, style="")),
        has_bad_links=bool(bad),
        cut_keys=[(word, meaning) for word, meaning in _CUT_KEYS if word in words],
        grids=made,
        bands=_band_texts(),
        layers=report.by_layer(run.results),
        css=Markup(css),
        css_hash=_policy_hash(css),
        js=Markup(js),
        js_hash=_policy_hash(js),
        data=map(Markup, _data_parts(run)),
    )


class _ShownCause:
    """A cause as the template takes it; its checks are named by their places in the list of all."""

    def __init__(self, lab: Lab, group: Explained, places: Mapping[int, int]) -> None:
        self.text, self.scope, self.evidence = group.cause.text, group.scope, group.evidence
        self.command = failures.remedy(lab, group)
        self.count = checks_text(len(group.results))
        self.checks = [
            (places[id(result)], result.check.title, result.detail)
            for result in group.results[:_MOST_LINKS]
        ]
        self.left = len(group.results) - len(self.checks)


def _headline(counts: report.Counts, verdict: CheckStatus) -> str:
    """Return the outcome of the run in a line."""
    total = counts["total"]
    match verdict:
        case CheckStatus.PASSED:
            return f"all {total} checks passed"
        case CheckStatus.WARNED:
            return f"all {total} checks passed, {counts['warned']} with a warning"
        case CheckStatus.FAILED:
            return f"{counts['failed']} of {total} checks failed"
        case CheckStatus.ERROR:
            return f"{counts['error']} of {total} checks had no answer"


def _seconds_text(elapsed_s: float) -> str:
    minutes, seconds = divmod(elapsed_s, 60)
    return f"{minutes:.0f} min {seconds:.0f} s" if minutes else f"{seconds:.1f} s"


def _band_texts() -> list[str]:
    """Return the legend: <1, 1-3, ..., 100 and more."""
    limits = [f"{limit:g}" for limit in BANDS_MS]
    between = [f"{low}-{high}" for low, high in pairwise(limits)]
    return [f"<{limits[0]}", *between, f"≥{limits[-1]}"]


def _policy_hash(text: str) -> str:
    """Return what a Content-Security-Policy knows an inline script or style by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


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
        self.network, self.names, self.caption = grid.network, grid.names, grid.caption
        self.is_small = len(grid.names) <= _MOST_CELLS
        self.has_many = len(grid.names) > _FEW

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
                painted.append((target, self._paint_cell(cell) if cell else None))
                is_bad = is_bad or (cell is not None and cell.is_bad)
            yield source, is_bad, painted

    def _paint_cell(self, cell: Cell) -> _PaintedCell:
        """Return how a cell is painted."""
        if cell.status is not CheckStatus.PASSED:
            text = cell.text
            if len(self.names) > _FEW:
                # Among many columns a wide cell would push the others out of sight.
                text = cell.word.removeprefix("some ")
            return _PaintedCell(cell.status.value, text, f"{_WORDS[cell.status]}, {cell.text}")
        return _paint_passed(cell, is_worded=len(self.names) <= _FEW)


def _paint_passed(cell: Cell, *, is_worded: bool) -> _PaintedCell:
    """Paint a cell that passed: by the band of its round trip, or as cut."""
    meaning = dict(_CUT_KEYS).get(cell.word, "")
    if cell.rtt_ms is None:
        style = "cut" if cell.word else "plainly"
        words = f"{cell.word}: {meaning}" if meaning else "passed"
        return _PaintedCell(style, cell.word or "ok", words)
    trip = rtt_text(cell.rtt_ms)
    words = f"{trip} ms, {meaning}" if meaning else f"{trip} ms"
    return _PaintedCell(f"b{band(cell.rtt_ms)}", cell.text if is_worded else trip, words)


def _bad_places(results: Iterable[CheckResult], shown: Sequence[Grid]) -> set[tuple[str, str]]:
    """Return nodes that are not as declared, and NICs that failures have in common.

    A node that merely lost a dead one is not among them.
    """
    bad: set[tuple[str, str]] = set()
    for result in results:
        if not result.is_passed and result.check.kind.layer is Layer.NODES:
            bad.add((result.check.node, ""))
    for grid in shown:
        mute, deaf, left = spread(grid)
        names = {*mute, *deaf}
        for pair in left:
            names.update(pair)
        bad |= {(name, grid.network) for name in names}
    return bad


def _data_parts(run: Outcome) -> Iterator[str]:
    """Yield all results as columns of numbers into one list of words.

    That takes some thirty characters per check.
    """
    words: dict[str, int] = {}

    def number(text: str) -> str:
        return str(words.setdefault(text, len(words)))

    columns: dict[str, Callable[[CheckResult], str]] = {
        "layer": lambda r: r.check.kind.layer,
        "kind": lambda r: r.check.kind,
        "node": lambda r: r.check.node,
        "target": lambda r: r.check.target,
        "network": lambda r: r.check.network,
        "address": lambda r: r.check.address,
        "device": lambda r: r.check.device,
        "subject": lambda r: r.check.subject,
        "status": lambda r: r.status,
        "reason": lambda r: r.reason,
        "detail": lambda r: report.clean(r.sentence),
    }
    yield '{"columns":{'
    for at, (name, value) in enumerate(columns.items()):
        yield f'{"," if at else ""}"{name}":['
        yield from _joined_chunks(number(value(result)) for result in run.results)
        yield "]"
    yield '},"rtt":['
    yield from _joined_chunks(_rtt_number(result.rtt_ms) for result in run.results)
    yield '],"texts":{'
    yield from _text_parts(run.lab, run.results)
    yield f'}},"bands":{_script_json(list(BANDS_MS))},"words":{_script_json(list(words))}}}'


def _joined_chunks(items: Iterator[str]) -> Iterator[str]:
    """Join items with commas, some thousand at a time: whole, a column would fill the memory."""
    before = ""
    while chunk := list(islice(items, _AT_ONCE)):
        yield before + ",".join(chunk)
        before = ","


def _rtt_number(rtt_ms: float | None) -> str:
    """Write a round trip with three significant digits; 0 for none."""
    if not rtt_ms:
        return "0"
    digits_before_point = math.floor(math.log10(rtt_ms))
    return f"{round(rtt_ms, max(0, 2 - digits_before_point)):g}"


def _text_parts(lab: Lab, results: Sequence[CheckResult]) -> Iterator[str]:
    """Yield of each result that has them: what to type, its output, its evidence."""
    room, before = _TEXTS_MAX, ""
    for at, result in enumerate(results):
        if not (result.command or result.output or result.evidence):
            continue
        texts = (failures.typed(lab, result), failures.said(result), result.evidence)
        shown = [report.clean(text) for text in texts]
        room -= sum(map(len, shown))
        if room < 0:
            shown = ["", "", _LEFT_OUT]
        yield f'{before}"{at}":{_script_json(shown)}'
        before = ","


def _script_json(value: Sequence[str] | Sequence[float]) -> str:
    """Return JSON that may stand in a script element, whatever a node wrote."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
