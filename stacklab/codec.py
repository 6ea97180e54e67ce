"""JSON of frozen dataclasses, made and read by their fields and type hints.

A field may hold text, numbers, true or false, None, a path, an IP address or network, a
StrEnum, another dataclass, a tuple of any of these, a tuple of fixed length, or a mapping
from text. What is read is held against the type hints: an unknown or a missing field and a
value of another type raise NotSuchData, which names the field by its path.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
Data = TypeVar("Data")

_ADDRESSES = (
    ipaddress.IPv4Address,
    ipaddress.IPv4Interface,
    ipaddress.IPv4Network,
    ipaddress.IPv6Address,
    ipaddress.IPv6Interface,
    ipaddress.IPv6Network,
)


class NotSuchData(ValueError):
    """Data that does not have the shape of its dataclass."""

    def __init__(self, path: str, problem: str) -> None:
        """Name the field, as in `nodes[0].nics[1].mtu`."""
        super().__init__(f"{path} {problem}" if path else f"it {problem}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadPart:
    """One key of a value that is written as several; `{}` in it is the name of the field."""

    key: str
    kind: type
    value_of: Callable[[Any], JSON]
    is_computed: bool = False  # written for other programs; ignored when it is read


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A type whose values take keys of the mapping around them, instead of one key of their own."""

    parts: tuple[SpreadPart, ...]
    join: Callable[..., Any]  # called with the parts that are not computed


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """A property that is written as well, for programs that can't compute it; ignored when read."""

    key: str
    after: str  # the field that it follows
    value_of: Callable[[Any], JSON]


@dataclass(frozen=True, slots=True, kw_only=True)
class _FieldSlot:
    """A field of a dataclass, with what is needed to read and to write it."""

    name: str
    hint: object
    is_required: bool
    spread: Spread | None
    computed: tuple[Computed, ...]

    def json_keys(self) -> list[str]:
        """Return the JSON keys that this field may take."""
        own_keys = [self.name]
        if self.spread is not None:
            own_keys = [part.key.format(self.name) for part in self.spread.parts]
        return own_keys + [computed.key for computed in self.computed]


class Codec(Generic[Data]):
    """The JSON of one dataclass and of all that it holds."""

    def __init__(
        self,
        kind: type[Data],
        *,
        spreads: Mapping[type, Spread] = types.MappingProxyType({}),
        computed: Mapping[type, tuple[Computed, ...]] = types.MappingProxyType({}),
        left_out_empty: frozenset[str] = frozenset(),
    ) -> None:
        """Take the dataclass, and what of its JSON does not follow from its fields.

        Fields named in `left_out_empty` are not written while they are empty: programs from before
        they came refuse what they do not know.
        """
        self._kind = kind
        self._left_out_empty = left_out_empty
        self._spreads = spreads
        self._computed = computed
        # Type hints are text until they are evaluated, which is slow: once per class will do.
        self._slots: dict[type, tuple[_FieldSlot, ...]] = {}

    def encode(self, value: Data) -> dict[str, JSON]:
        """Return the value as json.dumps takes it, in the order of the fields."""
        return self._encode_dataclass(value)

    def decode(self, data: object) -> Data:
        """Return the value that encode() was given; raises NotSuchData."""
        return typing.cast("Data", self._decode_dataclass(self._kind, data, ""))

    # --- writing

    def _encode_dataclass(self, value: object) -> dict[str, JSON]:
        encoded: dict[str, JSON] = {}
        for slot in self._slots_of(type(value)):
            field_value = getattr(value, slot.name)
            if slot.name in self._left_out_empty and not field_value:
                continue
            if slot.spread is None:
                encoded[slot.name] = self._encode(field_value)
            else:
                for part in slot.spread.parts:
                    encoded[part.key.format(slot.name)] = part.value_of(field_value)
            for computed in slot.computed:
                encoded[computed.key] = computed.value_of(value)
        return encoded

    def _encode(self, value: object) -> JSON:
        # A StrEnum is text for json too, but str() makes it plain for every other reader.
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, tuple):
            return [self._encode(item) for item in value]
        if isinstance(value, Mapping):
            return {str(key): self._encode(item) for key, item in value.items()}
        if dataclasses.is_dataclass(value):
            return self._encode_dataclass(value)
        return str(value)

    # --- reading

    def _decode_dataclass(self, kind: type, data: object, path: str) -> object:
        if not isinstance(data, Mapping):
            raise NotSuchData(path, "is not a mapping")
        slots = self._slots_of(kind)
        _refuse_unknown_keys(slots, data, path)
        arguments = {}
        for slot in slots:
            inner_path = _join_path(path, slot.name)
            if slot.spread is not None:
                arguments[slot.name] = self._decode_spread(slot, slot.spread, data, path)
            elif slot.name in data:
                arguments[slot.name] = self._decode(slot.hint, data[slot.name], inner_path)
            elif slot.is_required:
                raise NotSuchData(inner_path, "is missing")
        # What is left out has a default, which the class fills in.
        return kind(**arguments)

    def _decode_spread(
        self, slot: _FieldSlot, spread: Spread, data: Mapping[str, object], path: str
    ) -> object:
        values = []
        for part in spread.parts:
            if part.is_computed:
                continue
            key = part.key.format(slot.name)
            part_path = _join_path(path, key)
            if key not in data:
                raise NotSuchData(part_path, "is missing")
            values.append(self._decode(part.kind, data[key], part_path))
        try:
            return spread.join(*values)
        except ValueError as error:
            # Each part is right, but they don't go together.
            raise NotSuchData(_join_path(path, slot.name), f"is not right: {error}") from error

    def _decode(self, hint: object, data: object, path: str) -> object:
        origin = typing.get_origin(hint)  # tuple for tuple[int, ...], None for a plain class
        # Both spellings of a union: Optional[int], and int | None.
        if origin in (typing.Union, types.UnionType):
            return self._decode_optional(hint, data, path)
        if origin is tuple:
            return self._decode_tuple(typing.get_args(hint), data, path)
        if origin is not None and issubclass(origin, Mapping):
            return self._decode_mapping(typing.get_args(hint)[1], data, path)
        if dataclasses.is_dataclass(hint):
            return self._decode_dataclass(typing.cast("type", hint), data, path)
        return _decode_scalar(hint, data, path)

    def _decode_optional(self, hint: object, data: object, path: str) -> object:
        alternatives = [one for one in typing.get_args(hint) if one is not types.NoneType]
        if len(alternatives) != 1:
            raise TypeError(f"{path}: a union of several types can't be told apart: {hint}")
        if data is None:
            return None
        return self._decode(alternatives[0], data, path)

    def _decode_tuple(self, hints: tuple[object, ...], data: object, path: str) -> object:
        if not isinstance(data, list):
            raise NotSuchData(path, "is not a list")
        if len(hints) == 2 and hints[1] is Ellipsis:  # tuple[X, ...]: as many as there are
            hints = (hints[0],) * len(data)
        if len(data) != len(hints):
            raise NotSuchData(path, f"is not a list of {len(hints)}")
        items = []
        for position, item in enumerate(data):
            items.append(self._decode(hints[position], item, f"{path}[{position}]"))
        return tuple(items)

    def _decode_mapping(self, hint: object, data: object, path: str) -> object:
        if not isinstance(data, Mapping):
            raise NotSuchData(path, "is not a mapping")
        decoded = {}
        for key, item in data.items():
            name = str(key)
            decoded[name] = self._decode(hint, item, _join_path(path, name))
        return decoded

    def _slots_of(self, kind: type) -> tuple[_FieldSlot, ...]:
        if kind not in self._slots:
            self._slots[kind] = tuple(self._make_slots(kind))
        return self._slots[kind]

    def _make_slots(self, kind: type) -> list[_FieldSlot]:
        hints = typing.get_type_hints(kind)
        all_computed = self._computed.get(kind, ())
        slots: list[_FieldSlot] = []
        for field in dataclasses.fields(kind):
            hint = hints[field.name]
            computed = [one for one in all_computed if one.after == field.name]
            slot = _FieldSlot(
                name=field.name,
                hint=hint,
                is_required=not _has_default(field),
                spread=self._spreads.get(hint),
                computed=tuple(computed),
            )
            slots.append(slot)
        return slots


def _has_default(field: dataclasses.Field[Any]) -> bool:
    has_value = field.default is not dataclasses.MISSING
    return has_value or field.default_factory is not dataclasses.MISSING


def _refuse_unknown_keys(
    slots: tuple[_FieldSlot, ...], data: Mapping[object, object], path: str
) -> None:
    known_keys: set[object] = set()
    for slot in slots:
        known_keys.update(slot.json_keys())
    for key in data:
        if key not in known_keys:
            raise NotSuchData(_join_path(path, str(key)), "is not a known field")


def _join_path(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _decode_scalar(hint: object, data: object, path: str) -> object:
    """Return a value that is not made of others."""
    if hint is bool:
        return _expect(data, bool, path, "is neither true nor false")
    if hint is int:
        return _expect_int(data, path)
    if hint is float:
        return _expect_float(data, path)
    # All others are written as text.
    text = _expect(data, str, path, "is not text")
    if hint is str:
        return text
    if hint is Path:
        return Path(text)
    if isinstance(hint, type) and hint in _ADDRESSES:
        return _parse_text(hint, text, path, f"is not an {hint.__name__}")
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _parse_text(hint, text, path, f"is not one of {', '.join(hint)}")
    raise TypeError(f"{path}: the codec does not know the type {hint}")


def _expect(data: object, kind: type[Data], path: str, problem: str) -> Data:
    if not isinstance(data, kind):
        raise NotSuchData(path, problem)
    return data


def _expect_int(data: object, path: str, noun: str = "a whole number") -> int:
    # bool is an int for Python, but `true` is not a number in JSON.
    if isinstance(data, bool) or not isinstance(data, int):
        raise NotSuchData(path, f"is not {noun}")
    return data


def _expect_float(data: object, path: str) -> float:
    number = data if isinstance(data, float) else _expect_int(data, path, "a number")
    # JSON's numbers have no end, a float has; and Python reads `NaN` from what is not JSON.
    if abs(number) > sys.float_info.max or math.isnan(number):
        raise NotSuchData(path, "is not a finite number")
    return float(number)


def _parse_text(kind: Callable[[str], Any], text: str, path: str, problem: str) -> object:
    try:
        return kind(text)
    except ValueError as error:
        raise NotSuchData(path, problem) from error
