from __future__ import annotations

from stacklab.tools.network import ebtables


def test_what_is_cut_is_healed_whole() -> None:
    cut = ebtables.cut("sl-1", [["vnet1"], ["vnet2", "vnet3"]])
    made = {argv[2] for argv in cut if argv[1] == "-N"}
    heal = ebtables.heal("sl-1", 2)
    assert made == {"sl-1", "sl-1-0", "sl-1-1"}
    assert {argv[2] for argv in heal if argv[1] == "-X"} == made
    assert heal[0] == ("ebtables", "-D", *cut[-1][2:])


def test_a_chain_is_emptied_before_it_goes_and_nothing_points_to_it() -> None:
    heal = ebtables.heal("sl-1", 2)
    order = [(argv[1], argv[2]) for argv in heal]
    assert (
        order.index(("-D", "FORWARD")) < order.index(("-F", "sl-1")) < order.index(("-F", "sl-1-0"))
    )
    assert order.index(("-F", "sl-1-0")) < order.index(("-X", "sl-1-0"))


def test_the_rules_count_only_when_all_are_there() -> None:
    cut = ebtables.cut("sl-1", [["vnet1"], ["vnet2"]])
    assert cut[-1] == ("ebtables", "-A", "FORWARD", "-j", "sl-1")
    assert [argv for argv in cut if "FORWARD" in argv] == [cut[-1]]


def test_a_chain_is_there_only_by_its_whole_name() -> None:
    said = "Bridge table: filter\n\nBridge chain: FORWARD, entries: 1, policy: ACCEPT\n-j sl-2\n\n"
    said += "Bridge chain: sl-1-0, entries: 0, policy: RETURN\n"
    assert ebtables.chains(said) == {"FORWARD", "sl-1-0"}


def test_two_groups_have_two_rules_a_tap() -> None:
    taps = [f"vnet{n}" for n in range(200)]
    cut = ebtables.cut("sl-1", [taps[:100], taps[100:]])
    assert sum("vnet" in " ".join(argv) for argv in cut) == 400


def test_nothing_is_dropped_that_does_not_go_from_one_of_its_taps_to_another() -> None:
    cut = ebtables.cut("sl-1", [["vnet1"], ["vnet2", "vnet3"], []])
    assert [argv[2:5:2] for argv in cut if argv[-1] == "DROP"] == [
        ("sl-1-0", "vnet2"),
        ("sl-1-0", "vnet3"),
        ("sl-1-1", "vnet1"),
        ("sl-1-2", "vnet1"),
        ("sl-1-2", "vnet2"),
        ("sl-1-2", "vnet3"),
    ]
