"""What lint makes of paths, names and releases; the rules themselves are in tests/lint."""

from __future__ import annotations

import os
import time
from pathlib import Path, PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stacklab.errors import LabError
from stacklab.installers import detecting
from stacklab.installers import linting as lint
from stacklab.installers.contrail.lint.linting import LOCALRC as CONTRAIL_LOCALRC
from stacklab.installers.devstack.lint import local_conf, post_config
from stacklab.installers.devstack.lint.linting import LOCAL_CONF
from stacklab.installers.devstack.lint.linting import LOCALRC as DEVSTACK_LOCALRC
from stacklab.installers.kolla.lint.linting import FILES as KOLLA_FILES
from stacklab.installers.opensdn.lint.linting import INSTANCES
from stacklab.installers.packstack.lint.linting import ANSWERS
from stacklab.lint.kinds import FileKind
from stacklab.lint.near import Near
from stacklab.lint.readers import read
from stacklab.lint.scope import Scope, Source

HEAD = "[[local|localrc]]\n"


def rules(*paths: Path, release: str = "") -> list[str]:
    return [each.rule for each in lint.lint_files(paths, release=release)]


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("localrc", "HOST_IP=1\n", DEVSTACK_LOCALRC),
        ("localrc", "INSTALL_PROFILE=ALL\n", CONTRAIL_LOCALRC),
        (
            "localrc",
            "Q_PLUGIN=contrail\nCONTRAIL_VGW_INTERFACE=vgw\nCASS_MAX_HEAP_SIZE=1G\n",
            DEVSTACK_LOCALRC,
        ),
        ("localrc", "CASS_HEAP_NEWSIZE=1G\nCASS_MAX_HEAP_SIZE=1G\n", CONTRAIL_LOCALRC),
        ("x/devstack/localrc", "INSTALL_PROFILE=ALL\n", DEVSTACK_LOCALRC),
        ("x/contrail-installer/localrc", "HOST_IP=1\n", CONTRAIL_LOCALRC),
        ("compute.conf", HEAD, LOCAL_CONF),
        ("compute.conf", "[[local | localrc]]\n", LOCAL_CONF),
        ("local.conf", "nothing", LOCAL_CONF),
        ("mine", "[general]\nCONFIG_GLANCE_INSTALL=y\n", ANSWERS),
        ("answers.txt", "CONFIG_GLANCE_INSTALL = y\n", ANSWERS),
        ("mine.yml", "network_interface: eth0\n", KOLLA_FILES),
        ("multinode", "[control]\nnode1\n", KOLLA_FILES),
        (
            "inventory/lab",
            "# mine\nnode1 ansible_host=10.0.0.1\n[control]\nnode1\n",
            KOLLA_FILES,
        ),
        ("hosts", "[baremetal:children]\ncontrol\n", KOLLA_FILES),
        ("hosts", "[web]\nnode1\n", None),
        ("mine.yaml", "provider_config:\n", INSTANCES),
        # What a text says goes before what it is called.
        ("localrc", "[general]\nCONFIG_GLANCE_INSTALL=y\n", ANSWERS),
        ("local.conf", "CONFIG_GLANCE_INSTALL=y\n", ANSWERS),
        ("globals.yml", "contrail_configuration:\n  A: 1\n", INSTANCES),
        ("instances.yaml", "kolla_base_distro: rocky\n", KOLLA_FILES),
        ("answers.txt", "[[local|localrc]]\nHOST_IP=10.0.0.1\n", LOCAL_CONF),
        ("inventory", "provider_config:\n", INSTANCES),
        ("globals.yml", "mine: 1\n", KOLLA_FILES),
        ("multinode", "node1\n", KOLLA_FILES),
        # Another program's: nothing in it is DevStack's.
        ("localrc", "OC_USERNAME=a\nOC_PASSWORD=b\n", None),
        ("localrc", "OC_USERNAME=a\nHOST_IP=10.0.0.1\n", DEVSTACK_LOCALRC),
        ("README", "Hello\n", None),
        ("mine.yaml", "a: 1\n", None),
    ],
)
def test_a_file_is_known_by_what_it_says_or_by_its_name(
    path: str, text: str, kind: FileKind | None
) -> None:
    assert detecting.detect(Source(name=path, text=text), PurePath(path)) is kind


@pytest.mark.parametrize(
    ("word", "rule"),
    [("local.conf", "conf-text-before"), ("localrc", "devstack-password-missing")],
)
def test_the_user_may_say_what_a_file_is(tmp_path: Path, word: str, rule: str) -> None:
    path = tmp_path / "notes"
    path.write_text("A=1\nHOST_IP=10.0.0.1\n")
    assert rule in {each.rule for each in lint.judge_files([path], kind=word).findings}


def test_a_kind_that_there_is_not_is_refused(tmp_path: Path) -> None:
    (tmp_path / "localrc").write_text("HOST_IP=10.0.0.1\n")
    with pytest.raises(LabError, match="no kind of file 'localcr'"):
        lint.judge_files([tmp_path / "localrc"], kind="localcr")


def test_a_file_that_is_too_big_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "localrc"
    with path.open("wb") as file:
        file.truncate(10 * 1024 * 1024 * 1024)
    started = time.process_time()
    assert rules(path) == ["file-too-big"]
    assert time.process_time() - started < 1


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "localrc")
    assert rules(tmp_path / "localrc") == ["file-unread"]


def test_a_file_that_may_not_be_read_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "localrc"
    path.write_text("A=1\n")

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    (found,) = lint.lint_files([path])
    assert "Permission denied" in found.effect
    assert "owner" in found.fix
    assert "chmod" not in found.fix, "there are passwords in it"


def test_one_bad_file_does_not_hide_the_others(tmp_path: Path) -> None:
    good = tmp_path / "localrc"
    good.write_text("A = 1\n")
    found = rules(tmp_path / "nowhere", good)
    assert "file-unread" in found
    assert "shell-blank-around-equals" in found


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "file-empty"),
        (b"A\0B\n", "file-binary"),
        ("A=1\n".encode("utf-16-le"), "file-utf16"),
        ("A=1\n".encode("utf-16"), "file-utf16"),
        (b"# \xe4\nA=1\n", "file-encoding"),
        (b"\xef\xbb\xbfA=1\n", "file-byte-order-mark"),
    ],
)
def test_bytes_that_are_no_plain_text_are_told_apart(data: bytes, rule: str) -> None:
    source, findings = read.decode_source("localrc", data)
    assert [each.rule for each in findings] == [rule]
    is_text = rule in ("file-byte-order-mark", "file-encoding")
    assert (source is not None) is is_text, "of what is no text, nothing else is said"


def test_an_unknown_release_is_an_error_that_lists_the_known(tmp_path: Path) -> None:
    (tmp_path / "localrc").write_text("HOST_IP=10.0.0.1\n")
    with pytest.raises(LabError) as caught:
        lint.lint_files([tmp_path / "localrc"], release="nonsense")
    assert "nonsense" in caught.value.message
    assert "mitaka" in str(caught.value.hint)
    with pytest.raises(LabError) as caught:
        lint.lint_files([tmp_path / "localrc"], release="icehose")
    assert str(caught.value.hint).startswith("did you mean icehouse?")


def test_the_release_is_said_or_in_the_branches_or_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "localrc"
    path.write_text("MULTI_HOST=True\n")
    assert "devstack-inert" in rules(path)
    assert "devstack-inert" not in rules(path, release="juno")
    path.write_text("MULTI_HOST=True\nNOVA_BRANCH=juno-eol\n")
    assert "devstack-inert" not in rules(path)


def test_a_kolla_or_packstack_file_may_say_its_release_itself(tmp_path: Path) -> None:
    (tmp_path / "globals.yml").write_text(
        'openstack_release: "2026.1"\nkolla_internal_address: 10.0.0.9\n'
    )
    assert rules(tmp_path / "globals.yml") == []
    assert rules(tmp_path / "globals.yml", release="2025.2") == ["kolla-release"]
    nova = (
        "CONFIG_NOVA_NETWORK_PUBIF=eth0\nCONFIG_NOVA_NETWORK_PRIVIF=eth1\n"
        "CONFIG_NEUTRON_INSTALL=n\n"
    )
    (tmp_path / "answers.txt").write_text(f"[general]\n{nova}")
    assert rules(tmp_path / "answers.txt") == []
    assert rules(tmp_path / "answers.txt", release="2025.1").count("packstack-gone-key") == 2


def test_a_rule_has_its_say_some_times_in_a_file_and_then_counts(tmp_path: Path) -> None:
    for name, times in (("few", 20), ("many", 23)):
        (tmp_path / name).mkdir()
        text = "[[local|localrc]]\n[[post-config|$NOVA_CONF]]\n[DEFAULT]\n" + "; x\n" * times
        (tmp_path / name / "local.conf").write_text(text)
    found = lint.lint_files([tmp_path / name / "local.conf" for name in ("few", "many")])
    few, many = (
        [each for each in found if each.rule == "conf-semicolon" and name in each.file]
        for name in ("few", "many")
    )
    assert len(few) == len(many) == 20
    assert [each.line for each in many] == list(range(4, 24))
    assert "more" not in few[-1].effect
    assert [" (and 3 more" in each.effect for each in many] == [False] * 19 + [True]


@pytest.mark.parametrize(
    ("rule", "line", "count", "rest"),
    [
        ("file-placeholder", "A{}=<x{}>", 1, "; 29 more like it"),
        ("file-ignore", "# stacklab: ignore=x{}", 20, "and 10 more findings like it"),
    ],
)
def test_what_holds_of_any_file_is_counted_too(
    tmp_path: Path, rule: str, line: str, count: int, rest: str
) -> None:
    lines = "".join(f"{line.format(at, at)}\n" for at in range(30))
    (tmp_path / "local.conf").write_text(f"[[local|localrc]]\n{lines}")
    found = [
        finding for finding in lint.lint_files([tmp_path / "local.conf"]) if finding.rule == rule
    ]
    assert len(found) == count
    assert rest in found[-1].effect


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("answers.txt", "CONFIG_FOO_{}=y"),
        ("globals.yml", "enable_cindr{}: yes"),
        ("localrc", "CONTRAIL_SR{}=y"),
        ("local.conf", "[[post-confg{}|$NOVA_CNF{}]]"),
        ("multinode", "[g{0}:children]\nh{0}"),
        ("passwords.yml", "a{}_password:"),
    ],
)
def test_thousands_of_mistakes_take_no_minutes(tmp_path: Path, name: str, line: str) -> None:
    first = {
        "answers.txt": "[general]\n",
        "multinode": "[control]\n",
        "localrc": "INSTALL_PROFILE=ALL\n",
    }.get(name, "")
    (tmp_path / name).write_text(
        first + "".join(f"{line.format(at, at)}\n" for at in range(25_000))
    )
    started = time.process_time()
    found = lint.lint_files([tmp_path / name])
    assert time.process_time() - started < 6
    assert found


def test_only_the_first_words_are_compared_with_all_that_are_known() -> None:
    nearest = Near([f"word{number}" for number in range(20_000)])
    assert nearest("word1x") == "word1"
    assert [bool(nearest(f"word{number}x")) for number in range(2, 12)] == [True] * 9 + [False]
    assert nearest("word1x") == "word1", "what was found once is still known"
    assert Near(["word"])("word" * 100) == ""
    few = Near(["word"])
    assert [bool(few(f"word{number}")) for number in range(1001)] == [True] * 1000 + [False]


def write_nodes(*directories: Path) -> list[Path]:
    """A localrc in each, all of the same HOST_IP."""
    paths = []
    for directory in directories:
        directory.mkdir(parents=True)
        path = directory / "localrc"
        path.write_text("HOST_IP=10.0.0.1\nSERVICE_HOST=10.0.0.1\n")
        paths.append(path)
    return paths


def write_kolla(directory: Path, inventory: str) -> list[Path]:
    """A globals.yml that wants Grafana, and an inventory without a node for it."""
    paths = [directory / "globals.yml", directory / inventory]
    paths[1].parent.mkdir(parents=True)
    paths[0].write_text("kolla_internal_vip_address: 10.0.5.250\nenable_grafana: true\n")
    groups = ["[control]", "node1", "[network]", "node1", "[compute]", "node2", "[monitoring]"]
    groups += ["[storage]", "node1", "[grafana:children]", "monitoring"]
    paths[1].write_text("\n".join(groups))
    return paths


def test_files_of_kolla_do_not_part_the_nodes_of_a_devstack(tmp_path: Path) -> None:
    nodes = write_nodes(tmp_path / "a" / "controller", tmp_path / "b" / "compute")
    kolla = write_kolla(tmp_path / "kolla", "multinode")
    assert "across-host-ip" in rules(*nodes)
    assert "across-host-ip" in rules(*nodes, *kolla)


def test_nodes_of_a_devstack_do_not_part_files_of_kolla(tmp_path: Path) -> None:
    nodes = write_nodes(tmp_path / "stack" / "controller", tmp_path / "stack" / "compute")
    kolla = write_kolla(tmp_path / "kolla", "hosts/multinode")
    assert "kolla-inventory-idle" in rules(*kolla)
    assert "kolla-inventory-idle" in rules(*kolla, *nodes)


def test_clouds_in_directories_of_their_own_are_not_compared(tmp_path: Path) -> None:
    text = "HOST_IP=10.0.0.1\nSERVICE_HOST=10.0.0.1\n"
    for cloud in ("one", "two"):
        for node in ("controller", "compute"):
            (tmp_path / cloud / node).mkdir(parents=True)
            (tmp_path / cloud / node / "localrc").write_text(
                text.replace("HOST_IP=10.0.0.1", f"HOST_IP=10.0.0.{len(node)}")
            )
    assert "across-host-ip" not in rules(*tmp_path.rglob("localrc"))
    assert rules(*tmp_path.glob("*/compute/localrc")).count("across-host-ip") == 1, (
        "single nodes may be one cloud"
    )


def test_a_section_is_what_devstack_would_find() -> None:
    text = "x\n[[local|localrc]] # why\nA=1\n[[ post-config|y]]\nB\n [[local|localrc]]\n[[a|b|c]]\n"
    found = local_conf.find_sections(Source(name="local.conf", text=text).lines)
    # As awk does it: the first word, without brackets, up to the second bar.
    assert [(each.line, each.group, each.name, each.body) for each in found] == [
        (2, "local", "localrc", ("A=1",)),
        (4, "", "", ("B", " [[local|localrc]]")),
        (7, "a", "b", ()),
    ]


# Seen with inc/meta-config and inc/ini-config of devstack@493835a and gawk: what arrives in the
# file.
@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("k = two words", ""),  # two words
        ('k = "two words"', "conf-value-blank"),  # two
        ('k = \\\\"two words\\\\"', ""),  # "two words"
        ('k = "quoted"', "conf-quotes"),  # quoted
        ('k = x"y', "conf-quotes"),  # the option is lost
        ("k = it's", ""),  # it's
        ("k = C:\\dir", "conf-backslash"),  # C:dir
        ("k = C:\\\\dir", ""),  # C:\dir
        ("k = a;b & c", ""),  # a;b & c
        ("k = v # c", "conf-comment"),  # v # c
        ("k = *", "conf-glob"),  # the files of the directory
        ("k = a*b", ""),  # a*b
        ("k = $HOST_IP", ""),  # the address
        ("k = $my_ip", "conf-expansion"),  # nothing
        ("k = \\$my_ip", "conf-expansion"),  # nothing
        ("k = \\\\$my_ip", ""),  # $my_ip
        ("k = pa$$word", "conf-expansion"),  # pa, a number, word
        ("k = `date`", "conf-expansion"),  # the date
        ("k =", ""),
        ("; k = 1", "conf-semicolon"),  # ; k = 1
        (" k = 1", "conf-indented"),
        ("k", "conf-no-equals"),  # k =
        ("# k", ""),
        ("  # k", ""),
    ],
)
def test_an_option_arrives_as_written_or_is_told(line: str, rule: str) -> None:
    found = [each.rule for each in post_config.check("local.conf", 1, ("[a]", line))]
    assert found == ([rule] if rule else [])


ALPHABET = "A=1 '\"\\$(){}[]|`;&<>#\n\r\t:,-ENABLED_SERVICES\ufeff\u201c"


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=ALPHABET, max_size=80))
def test_no_text_breaks_a_linter(text: str) -> None:
    for kind in (DEVSTACK_LOCALRC, LOCAL_CONF, CONTRAIL_LOCALRC):
        for source in (text, HEAD + text, f"{HEAD}A=1\n[[post-config|$X]]\n[a]\n{text}"):
            for each in kind.lint(Source(name="f", text=source), Scope()):
                assert "\n" not in str(each)
                assert 0 <= each.line <= source.count("\n") + 1
