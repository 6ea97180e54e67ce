"""A picture of the cloud: each node's services, the VMs of the proof, and who reaches whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from stacklab.checks import report
from stacklab.checks.cloud.proof import computes_of
from stacklab.checks.result import CheckKind, CheckResult, CheckStatus, Layer
from stacklab.drivers.cloud_smoke.proof import Act, Guest, ProofStep, guests
from stacklab.model.lab import Lab
from stacklab.views.drawing.elements import LETTER, element

# Pixels.
_WIDTH = 290
_LINE = 18
_PAD = 12
_GAP = 30
_VM_LINES = 3  # its name, what reaches it, its metadata
_LINK_STEP = 26
_MOST_COLUMNS = 12  # of more nodes the picture would be unreadable
# Of several steps the worst is shown; what failed is worse than what could not be tried for it.
_SEVERITY = (CheckStatus.PASSED, CheckStatus.WARNED, CheckStatus.ERROR, CheckStatus.FAILED)
_WORDS = {
    CheckStatus.PASSED: "ok",
    CheckStatus.WARNED: "warning",
    CheckStatus.FAILED: "failed",
    CheckStatus.ERROR: "not tried",
}


@dataclass(frozen=True, slots=True)
class ListedStep:
    """A step of the proof as the page lists it."""

    status: CheckStatus
    title: str
    seconds: str
    detail: str


def proof_steps(results: Iterable[CheckResult]) -> list[ListedStep]:
    """Return the steps of the proof, in their order."""
    return [
        ListedStep(
            status=result.status,
            title=result.check.subject,
            seconds=f"{result.elapsed_s:.1f}" if result.elapsed_s else "",
            detail=report.clean(result.detail),
        )
        for result in results
        if result.check.kind is CheckKind.CLOUD
    ]


def svg(lab: Lab, results: Sequence[CheckResult]) -> str:
    """Draw the cloud as these results show it; "" where they have nothing of it."""
    of_cloud = _CloudResults.of(lab, results)
    columns = [
        name for name in of_cloud.services if of_cloud.services[name] or of_cloud.guests_on(name)
    ]
    if not columns or len(columns) > _MOST_COLUMNS:
        return ""
    most = max(len(of_cloud.services[name]) for name in columns)
    most_guests = max(len(of_cloud.guests_on(name)) for name in columns)
    vm_height = _VM_LINES * _LINE + _PAD
    height = (most + 1) * _LINE + 2 * _PAD + most_guests * (vm_height + _PAD)
    parts: list[str] = []
    middles: dict[str, int] = {}  # the x of each VM's middle
    for column, name in enumerate(columns):
        x = _PAD + column * (_WIDTH + _GAP)
        parts += _draw_node(of_cloud, name, x, height)
        top = _PAD + height - len(of_cloud.guests_on(name)) * (vm_height + _PAD)
        for place, guest in enumerate(of_cloud.guests_on(name)):
            parts += _draw_vm(of_cloud, guest, x + _PAD, top + place * (vm_height + _PAD))
            middles[guest.name] = x + _WIDTH // 2 + place * _GAP
    bottom = _PAD + height
    links, bottom = _draw_links(of_cloud, middles, bottom)
    width = 2 * _PAD + len(columns) * (_WIDTH + _GAP) - _GAP
    size = f'viewBox="0 0 {width} {bottom + _PAD}" width="{width}" height="{bottom + _PAD}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>the cloud of {escape(lab.name)}</title>",
            element("rect", class_="page", width=width, height=bottom + _PAD),
            *parts,
            *links,
            "</svg>",
        ]
    )


@dataclass(frozen=True, slots=True)
class _CloudResults:
    """What the results say of services, by node, and of the proof's steps, by title."""

    services: Mapping[str, Sequence[CheckResult]]
    steps: Mapping[str, CheckStatus]
    guests: Sequence[Guest]

    @classmethod
    def of(cls, lab: Lab, results: Sequence[CheckResult]) -> _CloudResults:
        services: dict[str, list[CheckResult]] = {node.name: [] for node in lab.nodes}
        steps: dict[str, CheckStatus] = {}
        for result in results:
            if result.check.kind.layer is Layer.SERVICES:
                services[result.check.node].append(result)
            elif result.check.kind is CheckKind.CLOUD:
                steps[result.check.subject] = result.status
        return cls(services, steps, guests(computes_of(lab)) if steps else ())

    def guests_on(self, node: str) -> list[Guest]:
        """Return the VMs that the proof boots on a node."""
        return [guest for guest in self.guests if guest.host == node]

    def status(self, *wanted: ProofStep) -> CheckStatus:
        """Return the worst that became of these steps."""
        found = [self.steps.get(step.title, CheckStatus.ERROR) for step in wanted]
        return max(found, key=_SEVERITY.index)


def _draw_node(of_cloud: _CloudResults, name: str, x: int, height: int) -> Iterator[str]:
    """Draw a node with a line for each of its services."""
    results = of_cloud.services[name]
    is_good = all(result.is_passed for result in results)
    classes = "node" if is_good else "node bad"
    yield f'<g class="{classes}" data-node="{name}">'
    yield element("rect", class_="plain", x=x, y=_PAD, width=_WIDTH, height=height, rx=6)
    y = _PAD + _LINE
    room = (_WIDTH - 2 * _PAD - 14) // LETTER  # characters beside the dot of a service
    yield element("text", escape(name), class_="text title", x=x + _PAD, y=y)
    for result in results:
        y += _LINE
        yield element("circle", class_=f"dot {result.status}", cx=x + _PAD + 4, cy=y - 4, r=4)
        word = result.check.subject.removeprefix("stacklab-").removesuffix(".service")
        # Cut before it is escaped: a half `&amp;` would be shown as it is.
        text = escape(report.clean(word)[:room])
        mark = "text" if result.is_passed else "text bad"
        yield element("text", text, class_=mark, x=x + _PAD + 14, y=y)
    yield "</g>"


def _draw_vm(of_cloud: _CloudResults, guest: Guest, x: int, y: int) -> Iterator[str]:
    """Draw a VM in its node, with what was seen of it."""
    from_host = of_cloud.status(
        ProofStep(Act.HOST_PINGS, guest.name), ProofStep(Act.HOST_LOGS_IN, guest.name)
    )
    metadata = of_cloud.status(ProofStep(Act.METADATA, guest.name))
    yield element(
        "rect",
        class_="strong",
        x=x,
        y=y,
        width=_WIDTH - 2 * _PAD,
        height=_VM_LINES * _LINE + _PAD,
        rx=6,
    )
    yield element("text", escape(guest.name), class_="text title", x=x + _PAD, y=y + _LINE)
    lines = (("from the host", from_host), ("metadata", metadata))
    for number, (what, status) in enumerate(lines, start=2):
        line_y = y + number * _LINE
        yield element("circle", class_=f"dot {status}", cx=x + _PAD + 4, cy=line_y - 4, r=4)
        text = f"{what}: {_WORDS[status]}"
        yield element("text", text, class_="text", x=x + _PAD + 14, y=line_y)


def _draw_links(
    of_cloud: _CloudResults, middles: Mapping[str, int], top: int
) -> tuple[list[str], int]:
    """Draw a line below the nodes from each VM to its neighbour; return also where it ends."""
    parts: list[str] = []
    names = [guest.name for guest in of_cloud.guests if guest.name in middles]
    y = top
    for one, other in pairwise(names):
        y += _LINK_STEP
        status = of_cloud.status(
            ProofStep(Act.PINGS, one, other),
            ProofStep(Act.LOGS_IN, one, other),
            ProofStep(Act.PINGS, other, one),
            ProofStep(Act.LOGS_IN, other, one),
        )
        left, right = middles[one], middles[other]
        path = f"M {left} {top} V {y} H {right} V {top}"
        parts.append(element("path", class_=f"link {status}", d=path))
        text = f"ping and ssh both ways: {_WORDS[status]}"
        middle = (left + right - len(text) * LETTER) // 2
        parts.append(element("text", text, class_="text halo", x=middle, y=y + 4))
    return parts, y + _PAD
