from __future__ import annotations

import dataclasses
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping

import pytest

from stacklab import pytest_plugin, record
from stacklab.checks import plan
from stacklab.checks.family import Facts
from stacklab.checks.result import CheckStatus, Layer, Selection
from stacklab.dev.simulated.simulate import SimulatedNodes, node_of
from stacklab.errors import ToolNotFound
from stacklab.model import lab_json
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.paths import HostPaths
from stacklab.paths.project import PROJECT
from stacklab.process import Command, Result
from stacklab.progress import Progress
from stacklab.providers import registry
from stacklab.record import LabRecord
from stacklab.workflow.check import checking
from stacklab.workflow.context import Context
from tests.unit.checks.fake_lab import make_lab
from tests.unit.providers.libvirt.fake_libvirt import make_provider

pytest_plugins = ["pytester"]

NAMES = ("controller", "compute1", "compute2")


class Nodes(SimulatedNodes):
    """Simulated nodes that remember their sessions, and echo commands."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, self._say)
        self.sessions: list[str] = []
        self.commands: list[tuple[str, ...]] = []
        self.called: dict[str, str] = {}  # node -> what it calls itself
        self.silent: set[str] = set()

    def _say(self, node: str, tag: str, lines: list[str], code: int) -> tuple[list[str], int]:
        return (
            [self.called[node]] if tag == "nodes.hostname" and node in self.called else lines
        ), code

    def converse(
        self,
        command: Command,
        *,
        heard: Callable[[str, float], None],
        why_stop: Callable[[], str] = lambda: "",
    ) -> Result:
        self.sessions.append(node_of(command))
        if node_of(command) in self.silent:
            return Result(exit_code=255, stderr="Connection refused")
        return super().converse(command, heard=heard, why_stop=why_stop)

    def run(self, command: Command) -> Result:
        self.commands.append(command.argv)
        return Result(exit_code=3, stdout=f"{command.argv[-1]}\n")


class Host(Context):
    """A host where libvirtd says what it is told to say."""

    known: Mapping[str, NodeState]

    def states(self, kept: LabRecord) -> Mapping[str, NodeState]:
        return self.known


@pytest.fixture
def lab(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Nodes:
    """A lab `trio` that is up, in simulation; the plug-in's context is ours."""
    host = HostPaths(pytester.path / "home")
    made = make_lab(retries=0)
    paths = host.lab("trio")
    paths.root.mkdir(parents=True)
    record.write(
        paths, registry.new_record(made, paths, image="debian-12-abc", passed_over={}, now=1.0)
    )
    paths.resolved.write_text(lab_json.to_json(made))
    nodes = Nodes(made)
    context = Host(
        host=host,
        runner=nodes,
        progress=Progress(),
        finish_snapshot=lambda _context, _paths: None,
    )
    context.providers["libvirt"] = make_provider(host, None, Progress())
    context.known = dict.fromkeys(NAMES, NodeState.RUNNING)
    nodes.context = context  # type: ignore[attr-defined]
    monkeypatch.setattr(pytest_plugin, "_make_context", lambda _config: context)
    monkeypatch.setattr(checking.host, "gather", lambda *_args, **_more: Facts())
    monkeypatch.setattr(
        checking, "explained", lambda _context, _lab, _paths, results: tuple(results)
    )
    return nodes


@pytest.fixture(autouse=True)
def no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1"
    )  # what they import is not ours to answer for


def run(pytester: pytest.Pytester, *words: str) -> pytest.RunResult:
    plugins = ("-p", "stacklab.pytest_plugin", "-p", "testinfra.plugin", "-p", "no:cacheprovider")
    return pytester.runpytest_inprocess(*plugins, "-W", "error::DeprecationWarning", *words)


def ids(pytester: pytest.Pytester, *words: str) -> list[str]:
    result = run(pytester, "--collect-only", "-q", *words)
    return [line for line in result.outlines if "::" in line]


# --- without --lab


def test_without_a_lab_it_does_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "def test_it(pytestconfig):\n"
        "    assert not pytestconfig.pluginmanager.hasplugin('stacklab.checks')"
    )
    run(pytester).assert_outcomes(passed=1)


def test_a_team_s_own_fixtures_of_these_names_are_theirs(
    pytester: pytest.Pytester, lab: Nodes
) -> None:
    pytester.makepyfile(
        """
        import pytest
        @pytest.fixture
        def node(): return "a tree's"
        def test_mine(node): assert node == "a tree's"
        @pytest.mark.parametrize("node_pair", [1, 2, 3])
        def test_theirs(node_pair): assert node_pair in (1, 2, 3)
        """
    )
    run(pytester).assert_outcomes(passed=4)
    run(pytester, "--lab", "trio").assert_outcomes(passed=4)


def test_it_is_an_entry_point_named_as_its_module() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"stacklab.pytest_plugin": pytest_plugin.__name__}


# --- which lab


def test_a_lab_that_is_not_up_is_one_line_with_what_to_type(
    pytester: pytest.Pytester, lab: Nodes
) -> None:
    result = run(pytester, "--lab", "mini-2node")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in result.errlines if line]
    assert lines == [
        "ERROR: lab mini-2node is not up: nothing of it exists on this host; "
        "next: ./invoke lab.up mini-2node"
    ]


def test_a_lab_that_is_shut_down_is_not_up(pytester: pytest.Pytester, lab: Nodes) -> None:
    lab.context.known = dict.fromkeys(NAMES, NodeState.OFF)  # type: ignore[attr-defined]
    result = run(pytester, "--lab", "trio")
    assert (
        "lab trio is not up: none of its nodes runs; next: ./invoke lab.up trio"
        in result.stderr.str()
    )


def test_a_lab_with_a_node_that_is_off_is_for_the_tests_to_judge(
    pytester: pytest.Pytester, lab: Nodes
) -> None:
    lab.context.known = {**lab.context.known, "compute1": NodeState.OFF}  # type: ignore[attr-defined]
    pytester.makepyfile("def test_mine(lab): assert lab.name == 'trio'")
    run(pytester, "--lab", "trio").assert_outcomes(passed=1)


def test_a_node_of_which_nobody_can_tell_may_run(pytester: pytest.Pytester, lab: Nodes) -> None:
    lab.context.known = {"compute1": NodeState.OFF}  # type: ignore[attr-defined]
    pytester.makepyfile("def test_mine(lab): assert lab.name == 'trio'")
    run(pytester, "--lab", "trio").assert_outcomes(passed=1)


def test_a_name_that_is_none_is_refused(pytester: pytest.Pytester, lab: Nodes) -> None:
    assert "is not a lab's name" in run(pytester, "--lab", "../x").stderr.str()


def test_checks_of_no_lab_are_refused(pytester: pytest.Pytester) -> None:
    assert "--lab NAME --lab-checks" in run(pytester, "--lab-checks").stderr.str()


# --- fixtures


def test_a_test_runs_for_each_node_and_for_each_ordered_pair(
    pytester: pytest.Pytester, lab: Nodes
) -> None:
    pytester.makepyfile(test_x="def test_one(node): pass\ndef test_two(node_pair): pass\n")
    found = ids(pytester, "--lab", "trio")
    assert {each for each in found if "test_one" in each} == {
        f"test_x.py::test_one[{name}]" for name in NAMES
    }
    pairs = {
        f"test_x.py::test_two[{one}:{other}]" for one in NAMES for other in NAMES if one != other
    }
    assert {each for each in found if "test_two" in each} == pairs
    assert len(found) == 9


def test_a_node_says_what_its_spec_says(pytester: pytest.Pytester, lab: Nodes) -> None:
    pytester.makepyfile(
        """
        def test_lab(lab):
            assert (lab.name, lab.spec.name, lab.paths.name) == ("trio", "trio", "trio")
            controller, compute1, compute2 = lab.nodes
            assert (controller.name, controller.role) == ("controller", "controller")
            assert compute1.role == "compute"
            assert str(compute1.address()) == "10.10.0.12"
            assert str(compute1.address("net1")) == "10.20.0.12"
            assert lab.node("compute2") == compute2
            assert lab.paths.ssh_config.name == "ssh_config"
        def test_pair(node_pair):
            one, other = node_pair
            assert one.name != other.name
        def test_no_network(lab): lab.nodes[0].address("nat")
        def test_no_node(lab): lab.node("compute9")
        """
    )
    result = run(pytester, "--lab", "trio")
    result.assert_outcomes(passed=7, failed=2)
    result.stdout.fnmatch_lines_random(
        [
            "controller is not on network 'nat' (it is on: net0, net1)",
            "there is no node 'compute9' in lab trio (its nodes: contr*",
        ]
    )


def test_a_command_runs_on_a_node_and_any_exit_code_is_a_result(
    pytester: pytest.Pytester, lab: Nodes
) -> None:
    pytester.makepyfile(
        """
        def test_exec(lab):
            assert lab.exec("compute1", "false; exit 3").exit_code == 3
            assert lab.exec(lab.node("compute1"), ["ls", "a b"]).stdout == "ls 'a b'\\n"
        """
    )
    run(pytester, "--lab", "trio").assert_outcomes(passed=1)
    config = str(lab.context.host.lab("trio").ssh_config)  # type: ignore[attr-defined]
    assert [argv[:3] for argv in lab.commands] == [("ssh", "-F", config)] * 2
    assert [argv[-2:] for argv in lab.commands] == [
        ("compute1", "false; exit 3"),
        ("compute1", "ls 'a b'"),
    ]


def test_a_node_is_a_testinfra_host_by_the_lab_s_own_ssh_config(
    pytester: pytest.Pytester, lab: Nodes
) -> None:
    pytester.makepyfile(
        """
        def test_host(node):
            words, values = node.host.backend._build_ssh_command("uptime")
            assert values == [str(node.lab.paths.ssh_config), node.name, "uptime"]
            assert "Control" not in " ".join(words)
            assert node.host is node.host
            assert repr(node) == f"<node {node.name} of lab trio>"
        """
    )
    run(pytester, "--lab", "trio").assert_outcomes(passed=3)


def test_testinfra_s_own_fixture_runs_on_every_node_and_never_on_this_machine(
    pytester: pytest.Pytester, lab: Nodes
) -> None:
    pytester.makepyfile(
        test_all="def test_it(host): assert host.backend.ssh_config.endswith('ssh_config')",
        test_theirs="testinfra_hosts = ['ssh://elsewhere']\n"
        "def test_it(host): assert host.backend.ssh_config is None",
    )
    found = ids(pytester, "--lab", "trio")
    assert sorted(found) == [
        *sorted(f"test_all.py::test_it[ssh://{name}]" for name in NAMES),
        "test_theirs.py::test_it[ssh://elsewhere]",
    ]
    run(pytester, "--lab", "trio").assert_outcomes(passed=4)
    assert ids(pytester, "--lab", "trio", "--hosts", "ssh://mine", "test_all.py") == [
        "test_all.py::test_it[ssh://mine]"
    ]


# --- the built-in checks


def test_every_check_is_an_item_beside_the_team_s_own(
    pytester: pytest.Pytester, lab: Nodes
) -> None:
    pytester.makepyfile("def test_mine(lab): pass")
    found = ids(pytester, "--lab", "trio", "--lab-checks")
    expected = [f"trio::{check.kind}::{check.title}" for check in plan.expected(make_lab())]
    assert sorted(found) == sorted(
        [*expected, "test_every_check_is_an_item_beside_the_team_s_own.py::test_mine"]
    )
    assert ids(pytester, "--lab", "trio") == found[-1:]


def test_all_checks_are_one_session_per_node(pytester: pytest.Pytester, lab: Nodes) -> None:
    result = run(
        pytester, "--lab", "trio", "--lab-checks", "-k", "login or hostname", "--strict-markers"
    )
    result.assert_outcomes(passed=6, deselected=len(plan.expected(make_lab())) - 6)
    assert sorted(lab.sessions) == sorted(NAMES)


def test_only_layers_that_are_selected_are_proved(
    pytester: pytest.Pytester, lab: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, asked = checking.check, []

    def check(*args: object, selection: Selection) -> object:
        asked.append(selection.layers)
        return original(*args, selection=selection)  # type: ignore[arg-type]

    monkeypatch.setattr(checking, "check", check)
    run(pytester, "--lab", "trio", "--lab-checks", "-k", "hostname")
    assert asked == [{Layer.NODES}]


def test_a_check_that_failed_fails_with_its_evidence_and_one_without_an_answer_is_an_error(
    pytester: pytest.Pytester, lab: Nodes
) -> None:
    lab.called["compute1"] = "debian"
    lab.silent.add("compute2")
    result = run(
        pytester, "--lab", "trio", "--lab-checks", "-k", "login or hostname", "--junitxml", "j.xml"
    )
    outcome = result.parseoutcomes()
    assert (outcome["passed"], outcome["failed"], outcome["errors"]) == (3, 2, 1)
    result.stdout.fnmatch_lines(
        ["compute1: hostname: calls itself 'debian'", "$ *hostname", "debian"]
    )
    assert "Traceback" not in result.stdout.str()
    assert "pytest_plugin/" not in result.stdout.str()
    cases = {case.get("name"): case for case in ET.parse(pytester.path / "j.xml").iter("testcase")}
    assert cases["compute1: hostname"].get("classname") == "trio.hostname"
    failure = cases["compute1: hostname"].find("failure")
    assert failure is not None
    assert "calls itself 'debian'" in (failure.text or "")
    assert cases["compute2: hostname"].find("error") is not None
    assert cases["compute2: hostname"].find("failure") is None


def test_a_warning_is_pytest_s_and_passes(
    pytester: pytest.Pytester, lab: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = checking.check

    def warned(*args: object, **kwargs: object) -> object:
        found = original(*args, **kwargs)  # type: ignore[arg-type]
        return tuple(
            dataclasses.replace(each, status=CheckStatus.WARNED, detail="so so") for each in found
        )

    monkeypatch.setattr(checking, "check", warned)
    # -W: here, and not for teams, the session around this one makes errors of warnings
    result = run(
        pytester, "--lab", "trio", "--lab-checks", "-k", "compute1 and hostname", "-W", "default"
    )
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*LabCheckWarning: compute1: hostname: so so"])


def test_checks_can_be_chosen_by_marker_and_layer(pytester: pytest.Pytester, lab: Nodes) -> None:
    pytester.makepyfile("def test_mine(lab): pass")
    only = ids(pytester, "--lab", "trio", "--lab-checks", "-m", pytest_plugin.MARKER)
    assert len(only) == len(plan.expected(make_lab()))
    assert all(each.startswith("trio::") for each in only)
    pairs = ids(pytester, "--lab", "trio", "--lab-checks", "-k", "pairs")
    assert {each.split("::")[1] for each in pairs} >= {"ping", "name", "ssh"}
    assert "trio::login" not in "".join(pairs)


def test_where_nothing_could_be_tried_every_item_says_why(
    pytester: pytest.Pytester, lab: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_args: object, **_kwargs: object) -> object:
        raise ToolNotFound("ssh")

    monkeypatch.setattr(checking, "check", none)
    result = run(pytester, "--lab", "trio", "--lab-checks", "-k", "hostname")
    assert result.parseoutcomes()["errors"] == 3
    assert result.stdout.str().count("ssh is not installed") >= 3
    assert "next: ./invoke doctor" in result.stdout.str()


def test_nothing_is_left_in_the_temporary_directory(
    pytester: pytest.Pytester, lab: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = pytester.mkdir("tmp")
    monkeypatch.setattr("tempfile.tempdir", str(empty))
    run(pytester, "--lab", "trio", "--lab-checks", "-k", "hostname")
    assert list(empty.glob("stacklab-*")) == []
