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
from stacklab.cli.framework.glue import Completes, LabTask
from stacklab.errors import LabError
from stacklab.paths import HostPaths
from stacklab.paths.project import CATALOGUE, LABS
from stacklab.spec.lab_search import is_path, known

# Written out, since their enums stand in modules that are slow to load; a test holds them equal.
FAULTS: Mapping[str, tuple[Completes, ...]] = {
    "link-down": (Completes.NODE, Completes.NIC),
    "unplug": (Completes.NODE, Completes.NIC),
    "pause": (Completes.NODE,),
    "power-off": (Completes.NODE,),
    "partition": (Completes.NETWORK, Completes.NODE),
}
LAYERS = (
    "nodes",
    "pairs",
    "isolation",
    "host",
    "outside",
    "impairments",
    "custom",
    "services",
    "cloud",
)
SHELLS = ("bash", "zsh", "fish")
KINDS = ("containers", "vms")
FORMATS = ("svg", "mermaid", "dot")

_IMAGE_NAME = re.compile(r"^([a-z0-9][a-z0-9.-]*):", re.MULTILINE)


@dataclass(slots=True)
class _TypedLine:
    """A command line as far as it is typed; the last task is the one that counts."""

    task: LabTask | None = None
    context: ParserContext | None = None
    values: dict[str, str] = field(default_factory=dict)  # of the task's positionals
    rest: list[str] = field(default_factory=list)
    open_flag: Argument | None = None  # an option whose value comes next

    @property
    def positionals(self) -> list[Argument]:
        """Return the positionals that the task takes."""
        return self.context.positional_args if self.context else []

    @property
    def flags(self) -> dict[str, Argument]:
        """Return the options that the task takes, by how they are typed: `--node`."""
        return self.context.flags if self.context else {}

    def kind_of(self, parameter: str) -> Completes | None:
        """Return the kind of names that a parameter stands for; None if it is free text."""
        return self.task.words.get(parameter) if self.task else None


def complete_line(
    words: Sequence[str], collection: Collection, initial_context: ParserContext
) -> list[str]:
    """Return what can stand in place of the last word, which may be empty.

    Candidates that do not begin like it are among them: shells leave them out by themselves.
    """
    *before, current = words
    before = [word for word in before if word != "="]  # bash splits `--node=n` at it
    if "--" in before:
        return []  # a command for the nodes
    line = _read_line(before, collection)
    if line.open_flag is not None:
        # The word at the cursor may be the sign itself: `--node=<TAB>`.
        return _names_for_parameter(line, line.open_flag.name, current.lstrip("="))
    if current.startswith("--") and "=" in current:
        return _flags_with_value(line, current)
    if current.startswith("-"):
        return _flags_like(line.context or initial_context, current)
    names = _names_for_positional(line, current)
    if names is None:
        return sorted(_contexts_by_name(collection))
    return names


def _read_line(words: Iterable[str], collection: Collection) -> _TypedLine:
    contexts = _contexts_by_name(collection)
    line = _TypedLine()
    # Positionals come first: a lab may have the name of a task.
    for word in words:
        if line.open_flag is not None:
            line.open_flag = None  # this word is its value
        elif word.startswith("-"):
            line.open_flag = _flag_without_its_value(line, word)
        elif not _take_positional(line, word) and word in contexts:
            line = _TypedLine(task=collection[word], context=contexts[word])
    return line


def _flag_without_its_value(line: _TypedLine, word: str) -> Argument | None:
    """Return the option if the next word is its value."""
    flag = line.flags.get(word)  # None for `--node=x`, which has its value
    if flag is None or not flag.takes_value:
        return None
    return flag


def _flags_with_value(line: _TypedLine, current: str) -> list[str]:
    """Complete `--node=n`, which is one word: each candidate repeats the option."""
    flag, _, value = current.partition("=")
    if flag not in line.flags:
        return []
    names = _names_for_parameter(line, line.flags[flag].name, value)
    return [f"{flag}={name}" for name in names]


def _names_for_positional(line: _TypedLine, current: str) -> list[str] | None:
    """Complete the next word that the task takes; None if it takes no further one."""
    for argument in line.positionals:
        if argument.name == "rest":
            # A further task may follow, too, but that is rare and would bury the names.
            return _names_for_rest(line, current)
        if argument.name not in line.values:
            return _names_for_parameter(line, argument.name, current)
    return None


def _contexts_by_name(collection: Collection) -> dict[str, ParserContext]:
    """Return every task as invoke's parser sees it; `test` is another name of test.all."""
    contexts: dict[str, ParserContext] = {}
    for context in collection.to_contexts():
        for name in (context.name, *context.aliases):
            contexts[name] = context
    return contexts


def _take_positional(line: _TypedLine, word: str) -> bool:
    """Give the word to the first positional that waits for one; False if none does."""
    for argument in line.positionals:
        if argument.name == "rest":
            line.rest.append(word)
            return True
        if argument.name not in line.values:
            line.values[argument.name] = word
            return True
    return False


def _flags_like(context: ParserContext, current: str) -> list[str]:
    flags = [*context.flags, *context.inverse_flags, "--help"]
    if current.startswith("--"):
        flags = [flag for flag in flags if flag.startswith("--")]
    return sorted(set(flags))


def _names_for_parameter(line: _TypedLine, parameter: str, current: str) -> list[str]:
    kind = line.kind_of(parameter)
    # lab.check takes several of a kind: `--layer nodes,pairs`.
    if line.task is not None and line.task.full_name == "lab.check":
        return _names_in_list(line, kind, current)
    return _names_of_kind(line, kind)


def _names_for_rest(line: _TypedLine, current: str) -> list[str]:
    """Complete one of the further words of a task; for lab.fault, a part of the fault."""
    kind = line.kind_of("rest")
    if kind is not Completes.FAULT:
        names = _names_of_kind(line, kind)
        return [name for name in names if name not in line.rest]
    if not line.rest:
        return list(FAULTS)
    fault, *given = line.rest
    kinds = FAULTS.get(fault, ())
    position = len(given)
    if fault == "partition":
        # Behind the network, each further word is a group of nodes: A,B C,D.
        position = min(position, len(kinds) - 1)
        return _names_in_list(line, kinds[position], current)
    if position >= len(kinds):
        return []
    return _names_of_kind(line, kinds[position])


def _names_in_list(line: _TypedLine, kind: Completes | None, current: str) -> list[str]:
    """Complete the last name of a list with commas: with those that are not in it yet."""
    names = _names_of_kind(line, kind)
    listed, comma, _ = current.rpartition(",")
    if not comma:
        return names
    given = listed.split(",")
    return [f"{listed},{name}" for name in names if name not in given]


def _names_of_kind(line: _TypedLine, kind: Completes | None) -> list[str]:
    if kind is None:
        return []
    return list(_SOURCES[kind](line))


def _labs_with_a_file(_line: _TypedLine) -> Sequence[str]:
    try:
        return tuple(known())
    except LabError:  # the settings are wrong, and a TAB is not the place to complain
        return spec.names(LABS)


def _labs_that_are_up(line: _TypedLine) -> Sequence[str]:
    # With none up, the names of files help more than nothing does.
    return HostPaths.default().recorded_labs() or _labs_with_a_file(line)


def _nodes(line: _TypedLine) -> Iterator[str]:
    for node in _resolved_lab(line).get("nodes", ()):
        yield node["name"]


def _networks(line: _TypedLine) -> Iterator[str]:
    for network in _resolved_lab(line).get("networks", ()):
        yield network["name"]


def _nics(line: _TypedLine) -> Iterator[str]:
    """Yield the NICs of the node that is named before: `link-down NODE NIC`."""
    for node in _resolved_lab(line).get("nodes", ()):
        if node["name"] not in line.rest:
            continue
        for nic in node["nics"]:
            yield nic["device"]


def _images(_line: _TypedLine) -> list[str]:
    # By a regular expression, which takes less time than loading the YAML.
    return _IMAGE_NAME.findall(CATALOGUE.read_text())


def _resolved_lab(line: _TypedLine) -> dict[str, Any]:
    """Return the line's lab as JSON: as it was brought up, or else as its spec has it.

    Without such a lab, it is empty.
    """
    name = line.values.get("name", "")
    try:
        resolved = json.loads(_lab_json(name))
    except (LabError, OSError, ValueError):
        return {}  # a TAB is not the place to complain
    return resolved if isinstance(resolved, dict) else {}


def _lab_json(name: str) -> str:
    if not is_path(name):
        file = HostPaths.default().lab(name).resolved
        if file.exists():
            return file.read_text()
    from stacklab.model import lab_json

    return lab_json.to_json(spec.load(spec.lab_file(name)))


def _installers(_line: _TypedLine) -> Iterable[str]:
    from stacklab.installers import KITS  # no other TAB waits for it

    return KITS


def _stages(line: _TypedLine) -> Iterable[str]:
    """Return the stages of the line's lab, in their order."""
    from stacklab.installers import rendering  # no other TAB waits for the kits
    from stacklab.model import lab_json

    name = line.values.get("name", "")
    try:
        lab = lab_json.from_json(_lab_json(name))
        return [stage.name for stage in rendering.stages(lab)]
    except (LabError, OSError, ValueError):
        return []  # a TAB is not the place to complain


def _snapshots(line: _TypedLine) -> Iterable[str]:
    """Return the snapshots of the line's lab."""
    try:
        return HostPaths.default().lab(line.values.get("lab", "")).snapshot_names()
    except LabError:
        return []


_SOURCES: Mapping[Completes, Callable[[_TypedLine], Iterable[str]]] = {
    Completes.LAB: _labs_with_a_file,
    Completes.LAB_THAT_IS_UP: _labs_that_are_up,
    Completes.NODE: _nodes,
    Completes.NIC: _nics,
    Completes.NETWORK: _networks,
    Completes.IMAGE: _images,
    Completes.LAYER: lambda _line: LAYERS,
    Completes.FAULT: lambda _line: FAULTS,
    Completes.INSTALLER: _installers,
    Completes.FORMAT: lambda _line: FORMATS,
    Completes.SHELL: lambda _line: SHELLS,
    Completes.KIND: lambda _line: KINDS,
    Completes.STAGE: _stages,
    Completes.SNAPSHOT: _snapshots,
}
