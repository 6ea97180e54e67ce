"""Labs' files: find one, read it into a Lab, and report all its mistakes at once."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stacklab.errors import LabError, SpecError
from stacklab.words import meant_or_known

if TYPE_CHECKING:  # `lab.list` and TAB need neither a model nor its JSON
    from stacklab.codec import JSON
    from stacklab.model.lab import Lab, Size
    from stacklab.spec.source import Document

__all__ = [
    "UnknownLab",
    "find",
    "from_dict",
    "from_json",
    "headline",
    "load",
    "names",
    "schema_json",
    "shown",
    "to_dict",
    "to_json",
]


class UnknownLab(SpecError):
    """The labs directory does not have a file of that name."""

    def __init__(self, name: str, directory: Path, known: Collection[str]) -> None:
        super().__init__((), hint="./invoke lab.list")
        self.message = f"no lab {name!a} in {shown(directory)}/ ({meant_or_known(name, known)})"


def load(
    path: Path, *, known_images: Collection[str] | None = None, host_memory: Size | None = None
) -> Lab:
    """Read a lab's file and fill in every default.

    Without `known_images` or `host_memory` they are not compared with the lab. Raises SpecError
    with all that is wrong.
    """
    # Not at the top: importing pydantic takes 0.1 s, and reading a recorded lab needs none of it.
    from stacklab.spec import source
    from stacklab.spec.resolve import resolve
    from stacklab.spec.rules import Context
    from stacklab.spec.validation import validate

    file = shown(path)
    hint = f"./invoke lab.validate {file}"
    document = source.read(path, file)
    if not isinstance(document.data, dict) and document.problems:
        raise SpecError(document.problems, hint=hint)
    spec, findings = validate(document)
    lab = None
    # Of what could be read, the rules are judged even if something else was refused.
    if spec is not None:
        context = Context(
            name=path.stem,
            declared=_declared_networks(document),
            is_whole=not findings and not document.problems,
            known_images=known_images,
            host_memory=host_memory,
        )
        lab, rule_findings = resolve(spec, context, path.resolve())
        findings += rule_findings
    problems = list(document.problems)
    # A value that could not be read is one mistake, not two.
    reported = {problem.path for problem in problems}
    for finding in findings:
        if source.show(finding.path) not in reported:
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


def find(name: str, directory: Path) -> Path:
    """Return the file of a lab; raise UnknownLab, which suggests a name, if there is none."""
    known = names(directory)
    if name not in known:
        raise UnknownLab(name, directory, known)
    return directory / f"{name}.yaml"


def names(directory: Path) -> tuple[str, ...]:
    """Return the names of all labs in the directory, sorted."""
    return tuple(sorted(path.stem for path in directory.glob("*.yaml")))


def schema_json() -> str:
    """Return the JSON Schema of a lab's file: the content of labs/lab.schema.json."""
    from stacklab.spec import json_schema

    return json_schema.schema_json()


def shown(path: Path) -> str:
    """Return a path for messages: relative to the working directory if it is inside it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def to_dict(lab: Lab) -> dict[str, JSON]:
    """Return everything about the lab, ready for json.dumps: see spec/export.py."""
    from stacklab.spec import export

    return export.to_dict(lab)


def from_dict(mapping: Mapping[str, object]) -> Lab:
    """Return the lab that to_dict() was given; raises LabError when the mapping is not a lab."""
    from stacklab.spec import export

    return export.from_dict(mapping)


def to_json(lab: Lab) -> str:
    """Return the resolved lab as JSON."""
    return json.dumps(to_dict(lab), indent=2) + "\n"


def from_json(text: str) -> Lab:
    """Return the lab that to_json was given; raise LabError for a damaged text."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise LabError(f"the resolved lab on record is damaged: {error}") from error
    return from_dict(data)


def headline(path: Path) -> str:
    """Return a lab's description, or "", without validating its file."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
    # Of one line; a text that goes on in the next line is cut.
    match = re.search(r"^description:[ \t]*(.+?)[ \t]*$", text, re.MULTILINE)
    if match is None:
        return ""
    description = match[1].strip("\"'")
    # The file may be anybody's: nothing of it may control the terminal or the order of letters.
    return "".join(char for char in description if char.isprintable())
