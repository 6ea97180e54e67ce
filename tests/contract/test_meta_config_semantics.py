"""What DevStack makes of a local.conf.

The model against what was seen, our quoting and our labs against the model. The tables hold what
DevStack's own functions gave back, at the commits of meta_config.SCRIPTS, for these very lines.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from stacklab import releases, spec
from stacklab.errors import RenderError
from stacklab.installers.kit.templates.quoting import TODAY, TRAIT, localrc_value, post_config_value
from stacklab.installers.rendering import preview
from stacklab.model.lab import Lab
from stacklab.model.stack import Installer
from stacklab.paths.project import PROJECT
from tests.contract import meta_config
from tests.contract.meta_config import SCRIPTS, Died, Machine
from tests.contract.rendered import check_options, era_of, sourced

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")

NOVA = "/etc/nova/nova.conf"
OLD = ("havana", "icehouse", "juno", "kilo", "liberty", "mitaka", "newton", "ocata")  # to yoga
NEW = ("2025.1", "2025.2", "2026.1", "master")  # 2025.1: from zed
ALL = OLD + NEW

# What follows `key = ` -> which releases -> the option where there was none, and where there was
# `key = old`.
# fmt: off
SEEN: dict[str, dict[tuple[str, ...], tuple[str | None, str]]] = {
    "plain": {ALL: ("plain", "plain")},
    "a  b": {OLD: ("a  b", "a  b"), NEW: ("a b", "a b")},
    "two\tblanks": {OLD: ("two\tblanks", "two\tblanks"), NEW: ("two blanks", "two blanks")},
    "*.rst": {OLD: ("*.rst", "*.rst"), NEW: ("HACKING.rst", "HACKING.rst")},
    "st*.sh x": {OLD: ("st*.sh x", "st*.sh x"), NEW: ("stack.sh x", "stack.sh x")},
    "-n x": {OLD: ("-n x", "-n x"), NEW: ("x", "x")},
    "a&b": {OLD: ("a&b", "akey = oldb"), NEW: ("a&b", "a&b")},
    "a|b": {OLD[:1]: ("a|b", "old"), OLD[1:] + NEW: ("a|b", "a|b")},
    "a=b=c": {OLD[:2]: ("a", "a"), OLD[2:] + NEW: ("a=b=c", "a=b=c")},
    "http://h/?a=*": {OLD[:2]: ("http://h/?a", "http://h/?a"), OLD[2:] + NEW: ("http://h/?a=*", "http://h/?a=*")},
    "$PLACE": {ALL: ("/home", "/home")},
    r"\$PLACE": {ALL: ("/home", "/home")},
    r"\\$PLACE": {ALL: ("$PLACE", "$PLACE")},
    "`echo hi`": {ALL: ("hi", "hi")},
    '"two words"': {ALL: ("two", "two")},
    '"one"': {ALL: ("one", "one")},
    r"\\\"x y\\\"": {ALL: ('"x y"', '"x y"')},
    r"C:\-": {ALL: ("C:-", "C:-")},
    r"C:\\\\-": {OLD + NEW[:1]: ("C:-", "C:-"), NEW[1:]: (r"C:\-", r"C:\-")},
    "'q'": {ALL: ("'q'", "'q'")},
    "a # b": {ALL: ("a # b", "a # b")},
    "a ; b": {ALL: ("a ; b", "a ; b")},
    "[x]": {ALL: ("[x]", "[x]")},
    "%(name)s": {ALL: ("%(name)s", "%(name)s")},
    # The last one: Havana reads on from here no more.
    "a]]b": {OLD[:1]: (None, "old"), OLD[1:] + NEW: ("a]]b", "a]]b")},
}
# fmt: on


def machine(ini: str = "[DEFAULT]\n", **variables: str) -> Machine:
    known = {"NOVA_CONF": NOVA, "PLACE": "/home", **variables}
    return Machine(variables=known, files={NOVA: ini}, directories={"/etc/nova"})


def merged(text: str, era: str, ini: str = "[DEFAULT]\n") -> dict[str, dict[str, list[str]]]:
    target = machine(ini)
    meta_config.merge(text, "post-config", target, SCRIPTS[era])
    return meta_config.options(target.files[NOVA])


def post_config(*lines: str) -> str:
    return "\n".join(("[[local|localrc]]", "A=1", "[[post-config|$NOVA_CONF]]", *lines)) + "\n"


@pytest.mark.parametrize("era", ALL)
def test_a_value_becomes_what_devstack_was_seen_to_make_of_it(era: str) -> None:
    text = post_config("[sect]", *(f"key{at} = {value}" for at, value in enumerate(SEEN)))
    seen = [next(found for eras, found in each.items() if era in eras) for each in SEEN.values()]
    old = "[sect]\n" + "".join(f"key{at} = old\n" for at in range(len(seen)))
    new, replaced = merged(text, era, "[sect]\n")["sect"], merged(text, era, old)["sect"]
    for at, (value, expected) in enumerate(zip(SEEN, seen, strict=True)):
        key = f"key{at}"
        assert new.get(key) == (None if expected[0] is None else [expected[0]]), value
        assert replaced[key] == [expected[1].replace("key", key)], value


LOCALRC = "[[local|localrc]]\nA=1\n"


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (LOCALRC, "A=1\n", "A=1\n"),
        ("A=1\n", None, None),
        ("[[ local | localrc ]]\nA=1\n", None, None),  # blanks around the bar
        (" [[local|localrc]]\nA=1\n", None, None),  # not in the first column
        ("[[local|localrc]] of this node\nA=1\n", "A=1\n", "A=1\n"),
        (
            "[[local|localrc]]\r\nA=1\r\n",
            None,
            None,
        ),  # CRLF: the whole section is lost, without a word
        (f"{LOCALRC}[[local|other]]\nB=1\n", "A=1\n", "A=1\n"),
        (f"{LOCALRC}[[post-config|$X]]\nB=1\n[[local|localrc]]\nC=1\n", "A=1\nC=1\n", "A=1\nC=1\n"),
        (
            f"{LOCALRC}[[local|localrc]]\nC=1\n",
            "A=1\n",
            "A=1\nC=1\n",
        ),  # two in a row: put right in Newton
        (
            f"{LOCALRC}[[ $A =~ 1|2 ]] && B=1\nC=1\n",
            "A=1\n",
            "A=1\n",
        ),  # bash that looks like a header
        (f"{LOCALRC}  [[ $A =~ 1|2 ]] && B=1\nC=1\n", "A=1\n  [[ $A =~ 1|2 ]] && B=1\nC=1\n", None),
    ],
)
def test_localrc_is_what_stands_in_its_sections(
    text: str, old: str | None, new: str | None
) -> None:
    for era, expected in (("icehouse", old), ("mitaka", old), ("newton", new), ("master", new)):
        if expected is not None or old is None:
            assert meta_config.localrc(text, SCRIPTS[era]) == expected, era


def test_two_brackets_anywhere_end_havanas_localrc() -> None:
    text = f"{LOCALRC}  if [[ $A ]]; then B=1; fi\nC=1\n"
    assert meta_config.localrc(text, SCRIPTS["havana"]) == "A=1\n"
    assert meta_config.localrc(text, SCRIPTS["icehouse"]) == text.removeprefix(
        "[[local|localrc]]\n"
    )


def test_options_keep_their_order_and_a_repeated_key_has_several_values() -> None:
    text = post_config(
        "[sect]", "b = 1", "a = x", "c = 3", "a = y", "[other]", "d = 4", "[sect]", "e = 5"
    )
    for era in ("kilo", "ocata", "master"):
        found = merged(text, era, "[sect]\na = old\n")
        assert found == {
            "sect": {"e": ["5"], "b": ["1"], "a": ["x", "y"], "c": ["3"]},
            "other": {"d": ["4"]},
        }
    assert merged(text, "juno", "[sect]\na = old\n")["sect"]["a"] == ["x", "y"]
    # Each line for itself: the last one wins.
    assert merged(text, "icehouse", "[sect]\na = old\n")["sect"]["a"] == ["y"]


def test_lines_that_are_no_options_are_lost_or_become_junk() -> None:
    lines = ("early = 1", "[my section]", "  indented = 1", "# key = 1", "key = 2", "; no comment")
    assert merged(post_config(*lines), "master") == {"my": {"key": ["2"], "; no comment": [""]}}


def test_a_file_whose_variable_is_not_set_stops_the_group() -> None:
    text = "[[post-config|$UNSET]]\n[s]\na = 1\n" + "[[post-config|$NOVA_CONF]]\n[s]\na = 1\n"
    assert merged(text, "ocata") == merged(text, "master") == {}
    assert merged(text, "liberty") == {"s": {"a": ["1"]}}
    for era in ("mitaka", "newton"):
        with pytest.raises(Died, match="UNSET"):
            merged(text, era)


def test_a_directory_that_is_not_there_is_made_since_2026() -> None:
    text = (
        "[[post-config|/etc/own/own.conf]]\n[s]\na = 1\n"
        + "[[post-config|$NOVA_CONF]]\n[s]\na = 1\n"
    )
    target = machine()
    meta_config.merge(text, "post-config", target, SCRIPTS["2026.1"])
    assert meta_config.options(target.files["/etc/own/own.conf"]) == {"s": {"a": ["1"]}}
    assert merged(text, "liberty") == {"s": {"a": ["1"]}}
    for era in ("mitaka", "2025.2"):
        with pytest.raises(Died, match="/etc/own"):
            merged(text, era)


def test_the_table_of_releases_names_what_each_does_to_a_value() -> None:
    for name, release in releases.of(Installer.DEVSTACK).items():
        if "post_config" in release.options:
            assert set(release.words(TRAIT)) == set(SCRIPTS[era_of(name)].traps), name
    assert set(TODAY) == set(SCRIPTS["master"].traps)


values = st.one_of(
    st.text("ab9 \"'`$&|;<>(){}[]!*?~#%^=,.:/@+-_\\é漢", max_size=20),
    st.lists(
        st.sampled_from(
            (
                "]]",
                "[[",
                "$PLACE",
                "$(id)",
                "`id`",
                "\\",
                '\\"',
                "&",
                "|",
                "=",
                "-n",
                " ",
                "  ",
                "*",
                '"',
                "'",
                "#",
                "?",
            )
        ),
        max_size=6,
    ).map("".join),
)


def expressible(found: list[str], traps: Collection[str]) -> list[str]:
    kept = []
    for value in found:
        try:
            post_config_value(value, traps)
        except RenderError:
            continue
        kept.append(value)
    return kept


@pytest.mark.parametrize("era", ALL)
def test_any_value_that_is_quoted_comes_through_as_it_was(era: str) -> None:
    traps = SCRIPTS[era].traps

    @settings(max_examples=6, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(found=st.lists(values, min_size=20, max_size=40))
    def check(found: list[str]) -> None:
        kept = expressible(found, traps)
        assume(kept)
        lines = [
            "[sect]",
            *(f"k{at} = {post_config_value(value, traps)}" for at, value in enumerate(kept)),
        ]
        text = post_config(*lines).replace(
            "A=1", "\n".join(f"A={localrc_value(value)}" for value in kept)
        )
        expected = {f"k{at}": [value] for at, value in enumerate(kept)}
        old = "[sect]\n" + "".join(f"{key} = old\n" for key in expected)
        assert merged(text, era, "[sect]\n").get("sect") == expected
        assert merged(text, era, old)["sect"] == expected

    check()


def test_what_is_not_quoted_does_not_come_through() -> None:
    # The other half of the test above: the model does harm.
    for value in ("two  words", '"x y"', "$PLACE", "a\\b", "*.rst"):
        assert merged(post_config("[sect]", f"key = {value}"), "master")["sect"]["key"] != [value]


def rendered_nodes() -> list[tuple[Lab, str]]:
    """Every node of every lab in labs/ that DevStack is to run on."""
    labs = (spec.load(path) for path in sorted((PROJECT / "labs").glob("*.yaml")))
    return [
        (lab, node)
        for lab in labs
        if lab.stack.installer is Installer.DEVSTACK
        for node, files in preview(lab).items()
        if any(path.name in ("localrc", "local.conf") for path in files)
    ]


NODES = [pytest.param(lab, node, id=f"{lab.name}-{node}") for lab, node in rendered_nodes()]


@pytest.mark.parametrize(("lab", "node"), NODES)
def test_a_labs_local_conf_has_its_variables_and_its_options(lab: Lab, node: str) -> None:
    files = {path.name: text for path, text in preview(lab)[node].items()}
    variables = sourced(files, SCRIPTS[era_of(lab.stack.release)])
    nic = lab.node(node).nic_on(lab.stack.network)
    assert nic is not None
    assert variables["HOST_IP"] == str(nic.address.ip)
    assert variables["ADMIN_PASSWORD"] == "x" * 20
    role = lab.node(node).role
    check_options(
        lab,
        files.get("local.conf", ""),
        {
            (each.file, each.section, each.key): each.value
            for each in lab.stack.post_config
            if each.role in ("all", str(role))
        },
    )


def test_the_eras_of_the_model_are_those_of_the_table() -> None:
    known = set(releases.of(Installer.DEVSTACK))
    assert set(SCRIPTS) <= known
    assert all(era_of(name) in SCRIPTS for name in known)
    assert set(ALL) == set(SCRIPTS)
