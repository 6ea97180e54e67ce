"""Keys that stand a level too deep or too high: said once, and put right for all that follows.

YAML is written by indentation, so a slip of two blanks moves a whole section. Without this, each
key of it would be unknown where it stands and missing where it belongs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar, get_args, get_origin

from stacklab.spec.form.fields import Spec
from stacklab.spec.form.schema import LabSpec
from stacklab.spec.form.types import plain_type
from stacklab.spec.mistakes import Keys, SpecMistake, show
from stacklab.spec.source import Document, Value

ANCHORS = "x-"  # begins top-level keys that are for YAML's anchors alone

# More slips than anybody makes in one file; what is left is told as unknown keys.
_MOST_MOVES = 20

_Thing = TypeVar("_Thing")


class _Move(NamedTuple):
    """A key that stands at one path and belongs to another."""

    origin: Keys
    target: Keys
    finding: SpecMistake


def put_right(document: Document) -> tuple[Document, list[SpecMistake]]:
    """Return the document without anchors and with each key where it belongs, and what was moved.

    Places stay those of the text: what is wrong with a value is said where it is written.
    """
    document = dataclasses.replace(document, data=_without_anchors(document.data))
    findings: list[SpecMistake] = []
    for _ in range(_MOST_MOVES):
        move = next(_moves(document), None)
        if move is None:
            break
        findings.append(move.finding)
        document = _moved(document, move)
    return document, findings


def _without_anchors(data: Value) -> Value:
    if not isinstance(data, dict):
        return data
    return {key: value for key, value in data.items() if not key.startswith(ANCHORS)}


def _moves(document: Document) -> Iterator[_Move]:
    """Yield what is misplaced; the document is to be put right before the next one is asked for."""
    if isinstance(document.data, dict):
        yield from _too_deep((), document.data, LabSpec, ())
        yield from _too_high(document.data)


class _Level(NamedTuple):
    """A mapping around another one: its path, its keys, and the fields that it may have."""

    path: Keys
    mapping: dict[str, Value]
    fields: Mapping[str, object]


def _too_deep(
    path: Keys,
    mapping: dict[str, Value],
    kind: type[Spec],
    around: tuple[_Level, ...],
) -> Iterator[_Move]:
    """Yield keys that a mapping can't have, and that one around it lacks."""
    fields = {name: field.annotation for name, field in kind.model_fields.items()}
    around = (_Level(path, mapping, fields), *around)
    for key, value in mapping.items():
        if key not in fields:
            yield from _out_of(path, key, around[1:])
            continue
        inner = _model_of(fields[key])
        if inner is None:
            continue
        model, is_map = inner
        here = (*path, key)
        if not is_map:
            for item_path, item in _mappings_in(here, value):
                yield from _too_deep(item_path, item, model, around)
        elif isinstance(value, dict):
            for name, entry in value.items():
                if not _is_entry(entry, model):
                    yield from _out_of(here, name, around)
                elif isinstance(entry, dict):
                    yield from _too_deep((*here, name), entry, model, around)


def _out_of(path: Keys, key: str, around: tuple[_Level, ...]) -> Iterator[_Move]:
    for level in around:
        if key in level.fields and level.mapping.get(key) is None:
            target = (*level.path, key)
            yield _Move(
                origin=(*path, key),
                target=target,
                finding=SpecMistake(
                    path=(*path, key),
                    wrong=f"{key} stands below {show(path)}",
                    right=f"indent it less, {_beside(level.path)}",
                    at_key=True,
                ),
            )
            return


def _beside(path: Keys) -> str:
    return f"as a key of {show(path)}" if path else "as a key of the lab"


def _too_high(data: dict[str, Value]) -> Iterator[_Move]:
    """Yield keys of networks, nodes and the like that stand beside what they belong to."""
    fields = {name: field.annotation for name, field in LabSpec.model_fields.items()}
    section = ""  # the key before, of those that a lab has
    for key, value in data.items():
        if key in fields:
            section = key
            yield from _beside_entries(key, value, fields[key])
            continue
        if not section:
            continue
        owner = _owner_of(key, value, section, data[section], fields[section])
        if owner and _has_room(data, owner, key):
            yield _deeper((key,), (*owner, key))


def _owner_of(
    key: str, value: Value, section: str, of_section: Value, annotation: object
) -> Keys | None:
    """Return where a key that a lab does not have belongs in the section before it; None: not."""
    inner = _model_of(annotation)
    if inner is None:
        return None
    model, is_map = inner
    # `nodes:`, then a mapping that looks like a node: one of the entries.
    if is_map and isinstance(value, dict) and value and _is_like(value, model):
        return (section,)
    if key not in model.model_fields:
        return None
    # A field of an entry: of the last one that was written above it.
    return _last_entry((section,), of_section) if is_map else (section,)


def _has_room(data: Value, owner: Keys, key: str) -> bool:
    """Return True if a key can be put there, and is not there yet."""
    there = _value_at(data, owner)
    return there is None or (isinstance(there, dict) and there.get(key) is None)


def _beside_entries(section: str, value: Value, annotation: object) -> Iterator[_Move]:
    """Yield fields of an entry that stand beside its name: `a:`, then `memory: 1GiB`."""
    inner = _model_of(annotation)
    if inner is None or not isinstance(value, dict):
        return
    model, is_map = inner
    before = ""
    for name, entry in value.items():
        if not is_map or name not in model.model_fields or _is_entry(entry, model):
            before = name
        elif before and _has_room(value, (before,), name):
            yield _deeper((section, name), (section, before, name))


def _deeper(origin: Keys, target: Keys) -> _Move:
    key = str(origin[-1])
    owner = show(target[:-1])
    return _Move(
        origin=origin,
        target=target,
        finding=SpecMistake(
            path=origin,
            wrong=f"{key} stands beside {owner}, not below it",
            right="indent it more",
            at_key=True,
        ),
    )


def _last_entry(path: Keys, value: Value) -> Keys | None:
    """Return the path of the last entry of a section, to which what follows was meant to belong."""
    if not isinstance(value, dict) or not value:
        return None
    return (*path, list(value)[-1])


def _model_of(annotation: object) -> tuple[type[Spec], bool] | None:
    """Return the model that a field holds, and whether it holds a mapping of names to models."""
    kind = plain_type(annotation)
    is_map = get_origin(kind) is dict
    arguments = get_args(kind)
    if is_map:
        kind = plain_type(arguments[1])
    elif get_origin(kind) is tuple:
        kind = plain_type(arguments[0])
    if isinstance(kind, type) and issubclass(kind, Spec):
        return kind, is_map
    return None


def _mappings_in(path: Keys, value: Value) -> Iterator[tuple[Keys, dict[str, Value]]]:
    """Yield a value, or the items of a list, as far as they are mappings."""
    if isinstance(value, dict):
        yield path, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict):
                yield (*path, index), item


def _is_entry(value: Value, model: type[Spec]) -> bool:
    """Return True for what may be one of a section's named entries, also one with mistakes."""
    if value is None or value == {}:
        return True
    return isinstance(value, dict) and any(key in model.model_fields for key in value)


def _is_like(value: dict[str, Value], model: type[Spec]) -> bool:
    """Return True if it has nothing but keys that such an entry has."""
    return all(key in model.model_fields for key in value)


def _moved(document: Document, move: _Move) -> Document:
    data = _without(document.data, move.origin)
    value = _value_at(document.data, move.origin)
    return dataclasses.replace(
        document,
        data=_with(data, move.target, value),
        values=_renamed(document.values, move),
        keys=_renamed(document.keys, move),
    )


def _renamed(places: Mapping[Keys, _Thing], move: _Move) -> Mapping[Keys, _Thing]:
    """Return places by the paths that their values have after the move."""
    depth = len(move.origin)
    renamed = dict(places)  # what is told at its old path finds its place there, too
    for path, place in places.items():
        if path[:depth] == move.origin:
            renamed[(*move.target, *path[depth:])] = place
    return renamed


def _value_at(value: Value, path: Keys) -> Value:
    """Return what is at the path; None where nothing is."""
    for key in path:
        if isinstance(value, dict):
            value = value.get(str(key))
        elif isinstance(value, list):
            value = value[int(key)]
        else:
            return None
    return value


def _without(value: Value, path: Keys) -> Value:
    """Return a copy without what is at the path; all around it stays, if it becomes empty, too."""
    head, *rest = path
    if isinstance(value, list):
        index = int(head)
        return [*value[:index], _without(value[index], tuple(rest)), *value[index + 1 :]]
    assert isinstance(value, dict)
    if not rest:
        return {key: item for key, item in value.items() if key != head}
    return {
        key: _without(item, tuple(rest)) if key == head else item for key, item in value.items()
    }


def _with(value: Value, path: Keys, new: Value) -> Value:
    """Return a copy with a value at the path, which leads through mappings alone."""
    if not path:
        return new
    head, *rest = path
    if isinstance(value, list):
        index = int(head)
        return [*value[:index], _with(value[index], tuple(rest), new), *value[index + 1 :]]
    mapping = dict(value) if isinstance(value, dict) else {}
    mapping[str(head)] = _with(mapping.get(str(head)), tuple(rest), new)
    return mapping
