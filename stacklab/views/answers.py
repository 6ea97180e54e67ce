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


def files(rendered: Rendered) -> Table:
    """Return a line per file, below the node that gets it."""
    rows: list[tuple[str, str, int]] = []
    for node, by_path in rendered.items():
        name = node
        for path, text in sorted(by_path.items()):
            rows.append((name, str(path), len(text.splitlines())))
            name = ""  # a node is named in its first line only
    return table(("node", "file", "lines"), rows)


def steps(ordered_steps: Sequence[Step]) -> Table:
    """Return a line per step, in their order; their commands are in `script`."""
    rows = [
        (number, step.node, step.user, step.title)
        for number, step in enumerate(ordered_steps, start=1)
    ]
    return table(("step", "node", "as", "what"), rows)


def script(ordered_steps: Sequence[Step]) -> Iterable[str]:
    """Yield the steps with their commands, to be copied from.

    Before each command a comment names the node and the user.
    """
    for number, step in enumerate(ordered_steps, start=1):
        yield f"# {number}. {step.node}, as {step.user}: {step.title}"
        if step.done:
            yield f"#    there is nothing to do if this succeeds: {step.done}"
        yield f"{step.command}\n"


def texts(rendered: Rendered) -> Iterable[str]:
    """Yield every file whole, each behind a line that names it."""
    for node, by_path in rendered.items():
        for path, text in sorted(by_path.items()):
            yield f"==> {node}:{path} <=="
            yield text


def differences(changed_files: Sequence[Difference]) -> Iterable[Text]:
    """Yield unified diffs, coloured as people know them."""
    for difference in changed_files:
        for line in difference.lines:
            style = _STYLES.get(line[:1], "")
            if line.startswith(("---", "+++")):
                style = "bold"
            yield Text(printable(line), style=style)


def findings(lint_findings: Sequence[Finding]) -> Iterable[Text]:
    """Yield a line per finding: file:line, severity, rule, effect; the fix below it."""
    for finding in lint_findings:
        where = finding.file
        if finding.line:
            where += f":{finding.line}"
        line = Text.assemble(
            (where, "bold"),
            ": ",
            (str(finding.severity), _SEVERITY[str(finding.severity)]),
            f": {finding.rule}: ",
            finding.effect,
        )
        if finding.fix:
            line.append(f"\n    {finding.fix}", "dim")
        yield line


def releases(catalogue: Sequence[Release]) -> Table:
    """Return a line per release, with what it can be used with."""
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
        for release in catalogue
    ]
    header = ("installer", "release", "ref", "upstream", "network modes", "drivers")
    return table((*header, "operating systems"), rows)


def to_stderr(lines: Iterable[str]) -> None:
    """Print notes where they don't get between a program and its output."""
    for line in lines:
        print(f"note: {line}", file=sys.stderr)
