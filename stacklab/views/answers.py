"""Show answer files, their differences and findings."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from rich.table import Table
from rich.text import Text

from stacklab.foreign import printable
from stacklab.installers.rendering import Rendered, Step
from stacklab.model.release import Release
from stacklab.typed import as_typed
from stacklab.views.tables import table
from stacklab.workflow.placing import Difference

# By the first character of a line of a diff.
_DIFF_STYLE = {"+": "green", "-": "red", "@": "cyan"}
_RELEASE_HEADER = (
    "installer",
    "release",
    "ref",
    "upstream",
    "network modes",
    "drivers",
    "operating systems",
)


def files_table(rendered: Rendered) -> Table:
    """Return a table of nodes and their files; a node's name stands in its first row alone."""
    rows: list[tuple[str, PurePosixPath, int]] = []
    for node, texts in rendered.items():
        name = node
        for path, text in sorted(texts.items()):
            rows.append((name, path, len(text.splitlines())))
            name = ""
    return table(("node", "file", "lines"), rows)


def steps_table(steps: Sequence[Step]) -> Table:
    """Return a table of steps in order, without their commands, which `script_lines` shows."""
    rows = []
    for number, step in enumerate(steps, start=1):
        rows.append((number, step.node, step.user, step.title))
    return table(("step", "node", "as", "what"), rows)


def script_lines(steps: Sequence[Step]) -> Iterable[str]:
    """Yield each step's command below a comment that names its node and user."""
    for number, step in enumerate(steps, start=1):
        yield f"# {number}. {step.node}, as {step.user}: {step.title}"
        if step.done:
            yield f"#    there is nothing to do if this succeeds: {step.done}"
        yield f"{step.command}\n"


def file_texts(rendered: Rendered) -> Iterable[str]:
    """Yield every file whole, below a line that names it."""
    for node, texts in rendered.items():
        for path, text in sorted(texts.items()):
            yield f"==> {node}:{path} <=="
            yield text


def difference_lines(differences: Sequence[Difference]) -> Iterable[Text]:
    """Yield unified diffs, coloured as git does."""
    for difference in differences:
        for line in difference.lines:
            # One side is from a node, whose root may have written anything.
            yield Text(printable(line), style=_diff_style(line))


def _diff_style(line: str) -> str:
    if line.startswith(("---", "+++")):  # the names of the files
        return "bold"
    return _DIFF_STYLE.get(line[:1], "")


def releases_table(releases: Sequence[Release]) -> Table:
    """Return a table of releases and what each of them supports."""
    rows = []
    for release in releases:
        row = (
            release.installer,
            release.name,
            release.ref,
            "alive" if release.is_alive else f"ended {release.dead}",
            " ".join(release.network_modes),
            " ".join(release.drivers),
            " ".join(release.images),
        )
        rows.append(row)
    return table(_RELEASE_HEADER, rows)


def print_notes(lines: Iterable[str]) -> None:
    """Print notes to stderr, so that stdout holds nothing but the result."""
    for line in lines:
        print(as_typed(f"note: {line}"), file=sys.stderr)
