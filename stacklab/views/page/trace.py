"""A trace as one page that needs nothing else: a bar or a dot for each step, then all lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from stacklab.views.hacking import trace as texts
from stacklab.views.page.parts import TEMPLATES, load_template, policy_hash

if TYPE_CHECKING:
    from stacklab.workflow.trace.steps import FoundStep
    from stacklab.workflow.trace.tracing import Trace

_MOST_LINES = 3000
_TICKS = 5
_LEAST_WIDTH = 0.4  # of a bar, in per cent of the whole time: less could not be seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A row of the timeline; `left` and `width` are in per cent of the whole time."""

    number: str
    title: str
    where: str
    lane: str  # a colour for each kind of service
    left: float | None  # None: nothing was seen
    width: float | None  # None: nothing shows when it ended
    label: str
    note: str  # the line that shows it, or why there is none


# By the beginnings of services' names, as Debian's units and DevStack's are called.
_LANES = {
    "client": ("client",),
    "nova": ("nova", "n-"),
    "compute": ("nova-compute", "n-cpu", "libvirtd", "virtqemud"),
    "network": ("neutron", "q-", "ovn", "ovs"),
    "image": ("glance", "g-"),
    "placement": ("placement",),
    "volume": ("cinder", "c-"),
}


def page(trace: Trace) -> str:
    """Return the page."""
    css = (TEMPLATES / "trace.css").read_text()
    bars = list(_step_bars(trace) if trace.steps else _place_bars(trace))
    return load_template("trace.html").render(
        trace=trace,
        css=Markup(css),
        css_hash=policy_hash(css),
        bars=bars,
        lanes=[lane for lane in _LANES if any(bar.lane == lane for bar in bars)],
        ticks=_ticks(_whole_s(trace)),
        states=[
            (texts.after(trace, state.at), texts.state_words(state)) for state in trace.seen.states
        ],
        clocks=texts.clocks_text(trace),
        after=lambda at: texts.after(trace, at),
        lines=trace.lines[:_MOST_LINES],
        left_out=trace.left_out + max(0, len(trace.lines) - _MOST_LINES),
    )


def _whole_s(trace: Trace) -> float:
    times = [line.at for line in trace.lines]
    times += [found.at for found in trace.steps if found.at is not None]
    return max(max(times, default=trace.began) - trace.began, 0.001)


def _step_bars(trace: Trace) -> Iterator[Bar]:
    whole_s = _whole_s(trace)
    for number, found in enumerate(trace.steps, 1):
        yield Bar(
            number=str(number),
            title=found.step.title,
            where=texts.place(found),
            lane=_lane_of(found.service) if found.at is not None else "",
            left=None if found.at is None else _percent(found.at - trace.began, whole_s),
            width=_width(found, whole_s),
            label=_label(trace, found),
            note=found.evidence or found.why_not,
        )


def _place_bars(trace: Trace) -> Iterator[Bar]:
    """Yield a row for each service that worked for the request."""
    whole_s = _whole_s(trace)
    for number, (where, lines) in enumerate(texts.by_place(trace.lines), 1):
        took_s = lines[-1].at - lines[0].at
        yield Bar(
            number=str(number),
            title=lines[0].service,
            where=lines[0].node,
            lane=_lane_of(where),
            left=_percent(lines[0].at - trace.began, whole_s),
            width=max(_percent(took_s, whole_s), _LEAST_WIDTH),
            label=f"{texts.after(trace, lines[0].at)} s, {took_s:.3f} s long",
            note=lines[0].message,
        )


def _lane_of(service: str) -> str:
    fitting = [lane for lane, words in _LANES.items() if service.startswith(words)]
    # nova-compute is nova's, too; the last one is the closest.
    return fitting[-1] if fitting else ""


def _width(found: FoundStep, whole_s: float) -> float | None:
    if found.took_s is None:
        return None
    return max(_percent(found.took_s, whole_s), _LEAST_WIDTH)


def _label(trace: Trace, found: FoundStep) -> str:
    if found.at is None:
        return "no line"
    after = f"{texts.after(trace, found.at)} s"
    return after if found.took_s is None else f"{after}, {found.took_s:.3f} s long"


def _percent(seconds: float, whole_s: float) -> float:
    return round(min(max(seconds / whole_s, 0.0), 1.0) * 100, 2)


def _ticks(whole_s: float) -> Sequence[tuple[float, str]]:
    """Return places on the axis, in per cent, with their seconds."""
    steps = range(_TICKS + 1)
    return [(100 * step / _TICKS, f"{whole_s * step / _TICKS:.2f} s") for step in steps]
