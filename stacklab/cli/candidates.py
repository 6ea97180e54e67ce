"""Candidates for the place of the cursor: the answer to a TAB.

Names come from where they are cheapest to read, without pydantic and libvirt: a lab that is up
from its resolved.json. Only for a lab that is not up its spec has to be loaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from invoke import Collection
from invoke.parser import Argument, ParserContext

from stacklab import spec
from stacklab.cli.glue import LabTask, Word
from stacklab.errors import LabError
from stacklab.paths import CATALOGUE, LABS, HostPaths

# Written out, since their enums stand in modules that are slow to load; a test holds them equal.
FAULTS: Mapping[str, tuple[Word, ...]] = {
    "link-down": (Word.NODE, Word.NIC),
    "unplug": (Word.NODE, Word.NIC),
    "pause": (Word.NODE,),
    "power-off": (Word.NODE,),
    "partition": (Word.NETWORK, Word.NODE),
}
LAYERS = (
    "nodes",
    "pairs",
    "isolation",
    "outside",
    "impairments",
    "custom",
    "services",
    "cloud",
)
SHELLS = ("bash", "zsh", "fish")
FORMATS = ("svg", "mermaid", "dot")

_IMAGE_NAME = re.compile(r"^([a-z0-9][a-z0-9.-]*):", re.MULTILINE)


@dataclass(slots=True)
class _Line:
    """A command line as far as it is typed; the last task is the one that counts."""

    task: LabTask | None = None
    context: ParserContext | None = None
    values: dict[str, str] = field(default_factory=dict)  # of the task's positionals
    rest: list[str] = field(default_factory=list)
    open_flag: Argument | None = None  # an option whose value comes next


def for_line(
    words: Sequence[str], collection: Collection, initial_context: ParserContext
) -> list[str]:
    """Return what can stand in place of the last word, which may be empty.

    Candidates that do not begin like it are among them: shells leave them out by themselves.
    """
    words = [word for word in words[:-1] if word != "="] + [words[-1]]  # bash splits at it
    *before, current = words
    if "--" in before:
        return []  # a command for the nodes
    line = _read(before, collection)
    if line.open_flag is not None:
        return _of_parameter(line, line.open_flag.name, current.lstrip("="))
    if current.startswith("--") and "=" in current:
        return _of_flag_with_value(line, current)
    if current.startswith("-"):
        return _flags(line.context or initial_context, current)
    names = _of_positional(line, current)
    return sorted(_contexts_by_name(collection)) if names is None else names


def _read(words: Iterable[str], collection: Collection) -> _Line:
    contexts = _contexts_by_name(collection)
    line = _Line()
    for word in words:
        if line.open_flag is not None:
            line.open_flag = None  # this word is its value
        elif word.startswith("-"):
            line.open_flag = _flag_without_its_value(line, word)
        elif not _take_positional(line, word) and word in contexts:
            line = _Line(task=collection[word], context=contexts[word])
    return line


def _flag_without_its_value(line: _Line, word: str) -> Argument | None:
    """Return the option if the next word is its value."""
    flag = line.context.flags.get(word) if line.context else None  # never `--node=x`
    return flag if flag is not None and flag.takes_value else None


def _of_flag_with_value(line: _Line, current: str) -> list[str]:
    """Complete `--node=n`, which is one word: each candidate repeats the option."""
    flag, _, value = current.partition("=")
    if line.context is None or flag not in line.context.flags:
        return []
    names = _of_parameter(line, line.context.flags[flag].name, value)
    return [f"{flag}={name}" for name in names]


def _of_positional(line: _Line, current: str) -> list[str] | None:
    """Complete the next word that the task takes; None if it takes no further one."""
    for argument in line.context.positional_args if line.context else ():
        if argument.name == "rest":
            # A further task may follow, too, but that is rare and would bury the names.
            return _of_rest(line, current)
        if argument.name not in line.values:
            return _of_parameter(line, argument.name, current)
    return None


def _contexts_by_name(collection: Collection) -> dict[str, ParserContext]:
    """Return every task as invoke's parser sees it; `test` is another name of test.all."""
    return {
        name: context
        for context in collection.to_contexts()
        for name in (context.name, *context.aliases)
    }


def _take_positional(line: _Line, word: str) -> bool:
    """Give the word to the first positional that waits for one; False if none does."""
    for argument in line.context.positional_args if line.context else ():
        if argument.name == "rest":
            line.rest.append(word)
            return True
        if argument.name not in line.values:
            line.values[argument.name] = word
            return True
    return False


def _flags(context: ParserContext, current: str) -> list[str]:
    flags = [*context.flags, *context.inverse_flags, "--help"]
    if current.startswith("--"):
        flags = [flag for flag in flags if flag.startswith("--")]
    return sorted(set(flags))


def _of_parameter(line: _Line, parameter: str, current: str) -> list[str]:
    word = line.task.words.get(parameter) if line.task else None
    # lab.check takes several of a kind: `--layer nodes,pairs`.
    takes_list = line.task is not None and line.task.full_name == "lab.check"
    return _of_word(line, word, current if takes_list else "")


def _of_rest(line: _Line, current: str) -> list[str]:
    word = line.task.words.get("rest") if line.task else None
    if word is not Word.FAULT:
        names = _of_word(line, word, "")
        return [name for name in names if name not in line.rest]
    if not line.rest:
        return list(FAULTS)
    kind, *given = line.rest
    wanted = FAULTS.get(kind, ())
    # Of a partition, each further word is a group of nodes: A,B C,D.
    position = min(len(given), len(wanted) - 1) if kind == "partition" else len(given)
    if position >= len(wanted):
        return []
    return _of_word(line, wanted[position], current if kind == "partition" else "")


def _of_word(line: _Line, word: Word | None, current: str) -> list[str]:
    """Return the names of this kind; behind a comma only those that are not named before it."""
    if word is None:
        return []
    names = list(_SOURCES[word](line))
    listed, comma, _ = current.rpartition(",")
    if not comma:
        return names
    return [f"{listed},{name}" for name in names if name not in listed.split(",")]


def _labs_with_a_file(_line: _Line) -> Sequence[str]:
    return spec.names(LABS)


def _labs_that_are_up(line: _Line) -> Sequence[str]:
    # With none up, the names of files help more than nothing does.
    return HostPaths.default().recorded_labs() or _labs_with_a_file(line)


def _nodes(line: _Line) -> Iterator[str]:
    for node in _resolved(line).get("nodes", ()):
        yield node["name"]


def _networks(line: _Line) -> Iterator[str]:
    for network in _resolved(line).get("networks", ()):
        yield network["name"]


def _nics(line: _Line) -> Iterator[str]:
    for node in _resolved(line).get("nodes", ()):
        if node["name"] in line.rest:
            yield from (nic["device"] for nic in node["nics"])


def _images(_line: _Line) -> list[str]:
    return _IMAGE_NAME.findall(CATALOGUE.read_text())


def _resolved(line: _Line) -> dict[str, Any]:
    """Return the line's lab as JSON: as it was brought up, or else as its spec has it.

    Without such a lab, it is empty.
    """
    name = line.values.get("name", "")
    try:
        file = HostPaths.default().lab(name).resolved
        text = file.read_text() if file.exists() else _resolve(name)
        resolved = json.loads(text)
    except (LabError, OSError, ValueError):
        return {}  # a TAB is not the place to complain
    return resolved if isinstance(resolved, dict) else {}


def _resolve(name: str) -> str:
    """Return a lab as its spec has it, as JSON; reading a spec takes long."""
    from stacklab.spec import export

    return export.to_json(spec.load(spec.find(name, LABS)))


def _installers(_line: _Line) -> Iterable[str]:
    from stacklab.installers import KITS  # no other TAB waits for it

    return KITS


_SOURCES: Mapping[Word, Callable[[_Line], Iterable[str]]] = {
    Word.LAB: _labs_with_a_file,
    Word.LAB_THAT_IS_UP: _labs_that_are_up,
    Word.NODE: _nodes,
    Word.NIC: _nics,
    Word.NETWORK: _networks,
    Word.IMAGE: _images,
    Word.LAYER: lambda _line: LAYERS,
    Word.FAULT: lambda _line: FAULTS,
    Word.INSTALLER: _installers,
    Word.FORMAT: lambda _line: FORMATS,
    Word.SHELL: lambda _line: SHELLS,
}
