"""YAML -> Lab: find a lab's file, read it, tell all that is wrong with it at once."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stacklab.errors import LabError, SpecError

if TYPE_CHECKING:  # `lab.list` and TAB need neither a model nor its JSON
    from stacklab.codec import JSON
    from stacklab.model.lab import Lab, Size

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
    """No file of that name is in the labs directory."""

    def __init__(self, name: str, directory: Path, known: Collection[str]) -> None:
        """Name the nearest lab, or all of them."""
        guesses = difflib.get_close_matches(name, list(known), n=1)
        right = f"did you mean {guesses[0]}?" if guesses else f"known: {', '.join(known) or 'none'}"
        super().__init__((), hint="./invoke lab.list")
        self.message = f"no lab {name!a} in {shown(directory)}/ ({right})"


def load(
    path: Path, *, known_images: Collection[str] | None = None, host_memory: Size | None = None
) -> Lab:
    """Read a lab's file and fill in every default.

    None for `known_images` or `host_memory` leaves that check out. Raises SpecError with
    everything that is wrong.
    """
    # Here and not at the top: who only reads lab.json must not wait 0.1 s for pydantic.
    from stacklab.spec import source
    from stacklab.spec.resolve import resolve
    from stacklab.spec.rules import Context
    from stacklab.spec.schema import validate

    file = shown(path)
    hint = f"./invoke lab.validate {file}"
    document = source.read(path, file)
    if not isinstance(document.data, dict) and document.problems:
        raise SpecError(document.problems, hint=hint)
    spec, findings = validate(document)
    lab = None
    if spec is not None:
        networks = document.data.get("networks") if isinstance(document.data, dict) else None
        context = Context(
            name=path.stem,
            declared=tuple(networks) if isinstance(networks, dict) else None,
            is_whole=not findings and not document.problems,
            known_images=known_images,
            host_memory=host_memory,
        )
        lab, more = resolve(spec, context, path.resolve())
        findings = findings + more
    said = {problem.path for problem in document.problems}
    problems = [
        *document.problems,
        *(document.problem(f) for f in findings if source.show(f.path) not in said),
    ]
    if problems or lab is None:
        raise SpecError(problems, hint=hint)
    return lab


def find(name: str, directory: Path) -> Path:
    """The file of the lab of that name; raises UnknownLab, which names the nearest."""
    known = names(directory)
    if name not in known:
        raise UnknownLab(name, directory, known)
    return directory / f"{name}.yaml"


def names(directory: Path) -> tuple[str, ...]:
    """Every lab that has a file in the directory, sorted."""
    return tuple(sorted(path.stem for path in directory.glob("*.yaml")))


def schema_json() -> str:
    """The JSON Schema of a lab file, as labs/lab.schema.json holds it."""
    from stacklab.spec import schema

    return schema.schema_json()


def shown(path: Path) -> str:
    """A path as messages show it: relative to the working directory when below it."""
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
    """The resolved lab as text."""
    return json.dumps(to_dict(lab), indent=2) + "\n"


def from_json(text: str) -> Lab:
    """The exact inverse of to_json; raises LabError on a damaged text."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise LabError(f"the resolved lab on record is damaged: {error}") from error
    return from_dict(data)


def headline(path: Path) -> str:
    """A lab's description, read without validating the rest; "" where there is none."""
    try:
        found = re.search(r"^description:[ \t]*(.+?)[ \t]*$", path.read_text(), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        return ""
    return found[1].strip("\"'") if found else ""
