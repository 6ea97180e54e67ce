"""Answer files for people: what there is, what differs, what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from stacklab.foreign import printable
from stacklab.installers.rendering import Rendered, Step
from stacklab.releases import Release
from stacklab.views.tables import table
from stacklab.workflow.answers import Difference

if TYPE_CHECKING:  # rendering must not wait for the lint
    from stacklab.lint.finding import Finding

_STYLES = {"+": "green", "-": "red", "@": "cyan"}
_SEVERITY = {"error": "red", "warning": "yellow"}


def files(found: Rendered) -> Table:
    """Which node gets which files."""
    rows = [
        (node if first else "", path, len(text.splitlines()))
        for node, texts in found.items()
        for first, (path, text) in zip(
            (True, *[False] * len(texts)), sorted(texts.items()), strict=False
        )
    ]
    return table(("node", "file", "lines"), rows)


def steps(found: Sequence[Step]) -> Table:
    """What is done with them, in order; the commands are in `script`."""
    rows = [
        (number, step.node, step.user, step.title) for number, step in enumerate(found, start=1)
    ]
    return table(("step", "node", "as", "what"), rows)


def script(found: Sequence[Step]) -> Iterable[str]:
    """The same with its commands, to be copied from: each behind a comment that says where and who."""
    for number, step in enumerate(found, start=1):
        yield f"# {number}. {step.node}, as {step.user}: {step.title}"
        if step.done:
            yield f"#    there is nothing to do if this succeeds: {step.done}"
        yield f"{step.command}\n"


def texts(found: Rendered) -> Iterable[str]:
    """Every file whole, each behind a line that names it."""
    for node, files in found.items():
        for path, text in sorted(files.items()):
            yield f"==> {node}:{path} <=="
            yield text


def differences(found: Sequence[Difference]) -> Iterable[Text]:
    """Unified diffs, coloured as people know them."""
    for difference in found:
        for line in difference.lines:
            style = _STYLES.get(line[:1], "") if line[:3] not in ("---", "+++") else "bold"
            yield Text(printable(line), style=style)


def findings(found: Sequence[Finding]) -> Iterable[Text]:
    """One line each: file:line, severity, rule, effect; the fix below it."""
    for finding in found:
        where = f"{finding.file}:{finding.line}" if finding.line else finding.file
        line = Text.assemble(
            (where, "bold"),
            ": ",
            (str(finding.severity), _SEVERITY[str(finding.severity)]),
            f": {finding.rule}: ",
            finding.effect,
        )
        yield Text.assemble(line, (f"\n    {finding.fix}", "dim")) if finding.fix else line


def releases(found: Sequence[Release]) -> Table:
    """Releases, and what each of them has."""
    rows = [
        (
            release.installer,
            release.name,
            release.ref,
            "alive" if release.is_alive else f"ended {release.dead}",
            " ".join(release.network_modes),
            " ".join(release.drivers),
            " ".join(release.images),
        )
        for release in found
    ]
    return table(
        (
            "installer",
            "release",
            "ref",
            "upstream",
            "network modes",
            "drivers",
            "operating systems",
        ),
        rows,
    )


def to_stderr(lines: Iterable[str]) -> None:
    """Print notes where they don't get between a program and its output."""
    for line in lines:
        print(f"note: {line}", file=sys.stderr)
