"""Labs' files: find one, read it into a Lab, and report all its mistakes at once."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from stacklab.errors import SpecError
from stacklab.spec.lab_files import UnknownLab, find, headline, names, shown
from stacklab.spec.lab_search import AmbiguousLab, lab_file

if TYPE_CHECKING:  # `lab.list` and TAB need no model
    from stacklab.model.lab import Lab
    from stacklab.spec.source import Document

__all__ = [
    "AmbiguousLab",
    "UnknownLab",
    "find",
    "headline",
    "lab_file",
    "load",
    "load_text",
    "names",
    "schema_json",
    "shown",
]


def load(path: Path, *, known_images: Collection[str] | None = None) -> Lab:
    """Read a lab's file and fill in every default.

    Without `known_images` the lab's images are not looked up. Nothing depends on this host, as
    the file may be for another one. Raises SpecError with all that is wrong.
    """
    from stacklab.spec import source

    document = source.read(path, shown(path))
    return _judge(document, path, known_images=known_images)


def load_text(text: str, path: Path) -> Lab:
    """Return the lab that a file of this text would be; see `load`. Nothing is read or written."""
    from stacklab.spec import source

    document = source.parse(text, shown(path))
    return _judge(document, path, known_images=None)


def _judge(
    document: Document,
    path: Path,
    *,
    known_images: Collection[str] | None,
) -> Lab:
    # Not at the top: importing pydantic takes 0.1 s, and reading a recorded lab needs none of it.
    from stacklab.spec.mistakes import show
    from stacklab.spec.placement import put_right
    from stacklab.spec.resolve import resolve
    from stacklab.spec.rules.context import RuleContext
    from stacklab.spec.validation import validate

    hint = f"./invoke lab.validate {document.file}"
    if not path.is_file() and document.data is None:
        hint = (
            f"ls -l {shlex.quote(document.file)}; ./invoke lab.list names the labs that are known"
        )
    # It is not YAML: there is nothing to judge by the rules.
    if not isinstance(document.data, dict) and document.problems:
        raise SpecError(document.problems, hint=hint)
    document, misplaced = put_right(document)
    spec, findings = validate(document)
    findings = misplaced + findings
    lab = None
    # Of what could be read, the rules are judged even if something else was refused.
    if spec is not None:
        context = RuleContext(
            name=path.stem,
            declared=_declared_networks(document),
            is_whole=not findings and not document.problems,
            known_images=known_images,
        )
        lab, rule_findings = resolve(spec, context, path.resolve())
        findings += rule_findings
    problems = list(document.problems)
    # A value that could not be read is one mistake, not two.
    reported = {problem.path for problem in problems}
    for finding in findings:
        if show(finding.path) not in reported:
            problems.append(document.problem(finding))
    if problems or lab is None:
        raise SpecError(problems, hint=hint)
    return lab


def _declared_networks(document: Document) -> tuple[str, ...] | None:
    """Return the name of every network that is written, None if they can't be read."""
    data = document.data
    networks = data.get("networks") if isinstance(data, dict) else None
    if not isinstance(networks, dict):
        return None
    return tuple(networks)


def schema_json() -> str:
    """Return the JSON Schema of a lab's file: the content of labs/lab.schema.json."""
    from stacklab.spec import json_schema

    return json_schema.schema_json()
