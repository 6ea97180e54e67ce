"""JSON of dataclasses: every type that a field may have, there and back, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Network
from pathlib import Path

import pytest

from stacklab.codec import Codec, Computed, NotSuchData, Spread, SpreadPart


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Weight:
    grams: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    number: int
    share: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    text: str
    flag: bool
    path: Path
    address: IPv4Address
    interface: IPv4Interface
    network: IPv4Network
    colour: Colour
    weight: Weight
    inner: Inner
    inners: tuple[Inner, ...]
    pairs: tuple[tuple[str, str], ...] = ()
    sixes: tuple[IPv6Network, ...] = ()
    perhaps: IPv4Network | None = None
    by_name: Mapping[str, Inner] = field(default_factory=dict)


CODEC = Codec(
    Outer,
    spreads={
        Weight: Spread(
            parts=(SpreadPart(key="{}_g", kind=int, value_of=lambda weight: weight.grams),),
            join=Weight,
        )
    },
    computed={Inner: (Computed(key="double", after="number", value_of=lambda i: i.number * 2),)},
)
VALUE = Outer(
    text="räksmörgås",
    flag=True,
    path=Path("/var/lib"),
    address=IPv4Address("10.0.0.1"),
    interface=IPv4Interface("10.0.0.1/24"),
    network=IPv4Network("10.0.0.0/24"),
    colour=Colour.BLUE,
    weight=Weight(3),
    inner=Inner(number=1),
    inners=(Inner(number=2, share=2.0),),
    pairs=(("a", "b"),),
    sixes=(IPv6Network("fd00::/64"),),
    perhaps=IPv4Network("10.1.0.0/16"),
    by_name={"one": Inner(number=4)},
)


def encoded() -> dict[str, object]:
    """Return VALUE as a reader of the file sees it."""
    data: dict[str, object] = json.loads(json.dumps(CODEC.encode(VALUE)))
    return data


def test_every_type_survives() -> None:
    assert CODEC.decode(encoded()) == VALUE


def test_the_order_is_that_of_the_fields_and_what_is_computed_follows_its_field() -> None:
    assert list(encoded())[:3] == ["text", "flag", "path"]
    assert encoded()["inner"] == {"number": 1, "double": 2, "share": 0.5}
    assert list(json.loads(json.dumps(encoded()["inner"]))) == ["number", "double", "share"]
    assert encoded()["weight_g"] == 3


def test_what_is_written_holds_nothing_but_plain_types() -> None:
    assert type(CODEC.encode(VALUE)["colour"]) is str


@pytest.mark.parametrize("key", ["pairs", "sixes", "perhaps", "by_name"])
def test_a_field_with_a_default_may_be_missing(key: str) -> None:
    data = encoded()
    del data[key]
    assert not getattr(CODEC.decode(data), key)


def test_what_is_computed_may_be_missing_and_is_never_believed() -> None:
    inner = {"number": 1, "double": "nonsense", "share": 0.5}
    assert CODEC.decode({**encoded(), "inner": inner}) == VALUE
    assert CODEC.decode({**encoded(), "inner": {"number": 1}}) == VALUE


def test_a_whole_number_will_do_for_any_number() -> None:
    read = CODEC.decode({**encoded(), "inner": {"number": 1, "share": 2}}).inner.share
    assert (read, type(read)) == (2.0, float)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("text", 1, "text is not text"),
        ("text", None, "text is not text"),
        ("flag", 1, "flag is neither true nor false"),
        ("path", 7, "path is not text"),
        ("address", "10.0.0.256", "address is not an IPv4Address"),
        ("network", "10.0.0.1/24", "network is not an IPv4Network"),
        ("colour", "green", "colour is not one of red, blue"),
        ("weight_g", "3", "weight_g is not a whole number"),
        ("inner", [], "inner is not a mapping"),
        ("inner", {}, "inner.number is missing"),
        ("inner", {"number": True}, "inner.number is not a whole number"),
        ("inner", {"number": 1.5}, "inner.number is not a whole number"),
        ("inner", {"number": 1, "share": True}, "inner.share is not a number"),
        ("inner", {"number": 1, "share": float("nan")}, "inner.share is not a finite number"),
        ("inner", {"number": 1, "share": 10**400}, "inner.share is not a finite number"),
        ("inner", {"number": 1, "x": 1}, "inner.x is not a known field"),
        ("inners", {}, "inners is not a list"),
        ("inners", [{"number": 1}, 2], "inners[1] is not a mapping"),
        ("pairs", [["a", "b"], ["c"]], "pairs[1] is not a list of 2"),
        ("pairs", [["a", 1]], "pairs[0][1] is not text"),
        ("perhaps", "x", "perhaps is not an IPv4Network"),
        ("by_name", [], "by_name is not a mapping"),
        ("by_name", {"one": {}}, "by_name.one.number is missing"),
        ("surplus", 1, "surplus is not a known field"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_path_of_the_field(
    key: str, value: object, problem: str
) -> None:
    with pytest.raises(NotSuchData) as caught:
        CODEC.decode({**encoded(), key: value})
    assert str(caught.value) == problem


@pytest.mark.parametrize("key", ["text", "weight_g", "inner"])
def test_a_field_that_is_missing_is_named(key: str) -> None:
    data = encoded()
    del data[key]
    with pytest.raises(NotSuchData, match=rf"^{key} is missing$"):
        CODEC.decode(data)


@pytest.mark.parametrize("data", [None, [], "text", 5])
def test_what_is_not_a_mapping_at_all_is_refused(data: object) -> None:
    with pytest.raises(NotSuchData, match=r"^it is not a mapping$"):
        CODEC.decode(data)


def test_a_type_that_the_codec_does_not_know_is_a_mistake_of_the_programmer() -> None:
    @dataclass
    class Strange:
        value: complex

    with pytest.raises(TypeError, match="does not know"):
        Codec(Strange).decode({"value": "1j"})
