"""Show answer files, their differences and findings."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from stacklab.foreign import printable
from stacklab.installers.rendering import Rendered, Step
from stacklab.model.release import Release
from stacklab.views.tables import table
from stacklab.workflow.placing import Difference

if TYPE_CHECKING:  # rendering must not wait for the lint
    from stacklab.lint.finding import Finding

_STYLES = {"+": "green", "-": "red", "@": "cyan"}
_SEVERITY = {"error": "red", "warning": "yellow"}


def files(rendered: Rendered) -> Table:
    """Return a table of nodes and their files; a node's name stands in its first row alone."""
    rows: list[tuple[str, PurePosixPath, int]] = []
    for node, texts in rendered.items():
        for index, (path, text) in enumerate(sorted(texts.items())):
            rows.append((node if index == 0 else "", path, len(text.splitlines())))
    return table(("node", "file", "lines"), rows)


def steps(all_steps: Sequence[Step]) -> Table:
    """Return a table of steps in order, without their commands, which `script` shows."""
    rows = [
        (number, step.node, step.user, step.title) for number, step in enumerate(all_steps, start=1)
    ]
    return table(("step", "node", "as", "what"), rows)


def script(all_steps: Sequence[Step]) -> Iterable[str]:
    """Yield each step's command below a comment that names its node and user."""
    for number, step in enumerate(all_steps, start=1):
        yield f"# {number}. {step.node}, as {step.user}: {step.title}"
        if step.done:
            yield f"#    there is nothing to do if this succeeds: {step.done}"
        yield f"{step.command}\n"


def texts(rendered: Rendered) -> Iterable[str]:
    """Yield every file whole, below a line that names it."""
    for node, files in rendered.items():
        for path, text in sorted(files.items()):
            yield f"==> {node}:{path} <=="
            yield text


def differences(all_differences: Sequence[Difference]) -> Iterable[Text]:
    """Yield unified diffs, coloured as git does."""
    for difference in all_differences:
        for line in difference.lines:
            is_file_name = line[:3] in ("---", "+++")
            style = "bold" if is_file_name else _STYLES.get(line[:1], "")
            yield Text(printable(line), style=style)


def findings(all_findings: Sequence[Finding]) -> Iterable[Text]:
    """Yield each finding as file:line, severity, rule and effect, with the fix below it."""
    for finding in all_findings:
        where = f"{finding.file}:{finding.line}" if finding.line else finding.file
        line = Text.assemble(
            (where, "bold"),
            ": ",
            (str(finding.severity), _SEVERITY[str(finding.severity)]),
            f": {finding.rule}: ",
            finding.effect,
        )
        yield Text.assemble(line, (f"\n    {finding.fix}", "dim")) if finding.fix else line


def releases(known: Sequence[Release]) -> Table:
    """Return a table of releases and what each of them supports."""
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
        for release in known
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
    """Print notes to stderr, so that stdout holds nothing but the result."""
    for line in lines:
        print(f"note: {line}", file=sys.stderr)
