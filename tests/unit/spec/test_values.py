"""Each word of a spec: what it accepts, and what it says otherwise."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from stacklab.model.lab import NetworkMode, Size
from stacklab.spec.form import ip_ranges, quantities, values
from stacklab.spec.form.values import Wrong

read_size = quantities.size_reader(Size.parse("128MiB"), "nothing boots in less")


@pytest.mark.parametrize(
    ("text", "mib"), [("512MiB", 512), ("1.5GiB", 1536), ("2 GiB", 2048), (" 1TiB ", 1048576)]
)
def test_a_size_has_a_number_and_a_unit(text: str, mib: int) -> None:
    assert read_size(text) == Size(mib)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("512", "write 512MiB"),
        ("2048", "write 2048MiB"),
        ("4", "write 4GiB"),
        ("1.5", "write 1.5GiB"),
        ("512M", "write 512MiB"),
        ("512mb", "write 512MiB"),
        ("2G", "write 2GiB"),
        ("2 gib", "write 2GiB"),
        ("1T", "write 1TiB"),
        ("lots", "write a number and MiB, GiB or TiB: 512MiB"),
        ("", "write a number and MiB, GiB or TiB: 512MiB"),
        ("9" * 500 + "GiB", "write a number and MiB, GiB or TiB: 512MiB"),
        ("٣GiB", "write a number and MiB, GiB or TiB: 512MiB"),
    ],
)
def test_what_is_no_size_is_answered_with_the_right_one(text: str, right: str) -> None:
    with pytest.raises(Wrong) as caught:
        read_size(text)
    assert caught.value.right == right


def test_too_little_memory_says_why() -> None:
    with pytest.raises(Wrong, match="64MiB is less than 128MiB") as caught:
        read_size("64MiB")
    assert caught.value.right == "nothing boots in less"


@pytest.mark.parametrize("text", ["a", "0", "node1", "a-b", "a--b", "x" * 20])
def test_host_names_are_names(text: str) -> None:
    assert values.name_reader(20)(text) == text


@pytest.mark.parametrize("text", ["", "A", "a_b", "-a", "a-", "a.b", "ä", "a b", "a\n", "x" * 21])
def test_what_is_no_host_name_is_no_name(text: str) -> None:
    with pytest.raises(Wrong):
        values.name_reader(20)(text)


@pytest.mark.parametrize("text", ["1", "0x1f", "7up"])
def test_a_node_cannot_be_taken_for_an_address(text: str) -> None:
    assert values.name_problem(text, 20) is None
    assert values.name_problem(text, 20, values.NODE_NAME) == (
        f"'{text}' is not a host name",
        "begin with a letter",
    )


@pytest.mark.parametrize("text", ["192.168.150.0/24", "10.0.0.0/8", "172.16.0.8/29"])
def test_a_range_is_an_address_and_a_prefix_length(text: str) -> None:
    assert ip_ranges.read_cidr(text) == IPv4Network(text)


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1/24",
        "10.0.0.0",
        "10.0.0.0/30",
        "10.0.0.0/7",
        "0.0.0.0/0",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "/24",
    ],
)
@pytest.mark.parametrize("ending", ["", "x", " "])
def test_a_range_that_no_lab_can_have_is_refused_whatever_follows(text: str, ending: str) -> None:
    with pytest.raises(Wrong):
        ip_ranges.read_cidr(text + ending)


@pytest.mark.parametrize(
    "text",
    [
        "224.0.0.0/4",
        "255.255.255.248/29",
        "fe80::/64",
        "10.0.0.0/255.0.0.0",
        "010.0.0.0/24",
        "10.0.0.0/24x",
        "",
    ],
)
def test_a_range_that_no_lab_can_have_is_refused(text: str) -> None:
    with pytest.raises(Wrong):
        ip_ranges.read_cidr(text)


def test_host_bits_are_answered_with_the_network() -> None:
    with pytest.raises(Wrong) as caught:
        ip_ranges.read_cidr("192.168.150.77/26")
    assert caught.value.right == "write 192.168.150.64/26"


def test_an_address_has_no_prefix_length() -> None:
    assert ip_ranges.read_address("10.0.0.5") == IPv4Address("10.0.0.5")
    with pytest.raises(Wrong) as caught:
        ip_ranges.read_address("10.0.0.5/24")
    assert caught.value.right == "write 10.0.0.5"


@pytest.mark.parametrize(
    "text", ["10.0.0", "10.0.0.256", "::1", "host", "", "10.0.0.5 ", "٣.0.0.1", "167772165"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Wrong):
        ip_ranges.read_address(text)


def test_whole_numbers_have_a_range() -> None:
    read = values.number_reader(int, 1, 64)
    assert (read("1"), read("64")) == (1, 64)
    for text in ("0", "65", "1.0", "+1", "-1", "1_0", "0x1", "", " 1", "1" * 5000, "٣", "true"):
        with pytest.raises(Wrong):
            read(text)


def test_numbers_carry_their_unit_into_the_answer() -> None:
    read = values.number_reader(float, 0, 10, "seconds")
    assert (read("0.5"), read("10")) == (0.5, 10.0)
    with pytest.raises(Wrong, match="'5s' is not a number of seconds") as caught:
        read("5s")
    assert caught.value.right == "0 to 10 seconds"


def test_words_are_those_of_the_enum() -> None:
    read = values.word_reader(NetworkMode)
    assert read("nat") is NetworkMode.NAT
    with pytest.raises(Wrong) as caught:
        read("isolatd")
    assert caught.value.right == "did you mean isolated? known: nat, isolated, bridged, macvtap"


@pytest.mark.parametrize("value", [["a"], {"a": "b"}])
def test_text_is_neither_a_list_nor_a_mapping(value: object) -> None:
    with pytest.raises(Wrong, match="where one value is expected"):
        values.read_text(value)
