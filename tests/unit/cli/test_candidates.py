"""What a TAB offers, for every place of a command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from invoke import Collection
from invoke.parser import Argument, ParserContext

import tasks
from stacklab import spec
from stacklab.checks.expect import FaultKind
from stacklab.checks.result import Layer
from stacklab.cli.framework.glue import Completes, LabTask
from stacklab.cli.tab import candidates
from stacklab.cli.tab.completion import SCRIPTS
from stacklab.images import catalogue
from stacklab.installers import rendering
from stacklab.model import lab_json
from stacklab.model.lab import NodeKind
from stacklab.model.stack import Installer
from stacklab.paths import HostPaths
from stacklab.paths.project import LABS
from stacklab.views.drawing import graph
from stacklab.workflow.lab.kinds import read_kind

CONTRAIL = LABS / "contrail-3node.yaml"
CORE = ParserContext(args=[Argument(name="list", kind=bool)])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostPaths:
    monkeypatch.setenv("STACKLAB_HOME", str(tmp_path))
    return HostPaths(tmp_path)


def bring_up(home: HostPaths, name: str) -> None:
    """Leave what `lab.up` leaves of a lab, as far as a TAB looks at it."""
    paths = home.lab(name)
    paths.root.mkdir(parents=True)
    paths.record.write_text("{}")
    paths.resolved.write_text(lab_json.to_json(spec.load(LABS / f"{name}.yaml")))


def offered(*words: str) -> list[str]:
    return candidates.complete_line(words, tasks.ns, CORE)


def all_tasks(collection: Collection = tasks.ns) -> list[LabTask]:
    return [collection[name] for name in collection.task_names]


def test_without_a_task_the_tasks_are_offered() -> None:
    assert {"lab.up", "doctor", "test", "completion"} <= set(offered("lab."))
    assert offered("") == offered("lab.")


def test_a_task_that_takes_nothing_more_may_be_followed_by_another() -> None:
    assert "lab.check" in offered("lab.up", "mini-2node", "")
    assert "contrail-3node" in offered("lab.up", "mini-2node", "lab.check", "")


def test_a_lab_is_completed_from_the_files() -> None:
    assert tuple(offered("lab.up", "con")) == spec.names(LABS)
    assert tuple(offered("lab.show", "--json", "")) == spec.names(LABS)


def test_a_lab_that_must_be_up_is_completed_from_the_records_where_there_are_any(
    home: HostPaths,
) -> None:
    assert tuple(offered("lab.ssh", "")) == spec.names(LABS)
    bring_up(home, "mini-2node")
    assert offered("lab.ssh", "") == ["mini-2node"]
    assert offered("lab.status", "") == ["mini-2node"]
    assert tuple(offered("lab.up", "")) == spec.names(LABS)


@pytest.mark.parametrize("is_up", [True, False])
@pytest.mark.parametrize(
    "words", [("lab.ssh", "mini-2node", "--node", ""), ("lab.ssh", "mini-2node", "--node", "=", "")]
)
def test_a_node_is_completed_from_the_lab(
    home: HostPaths, *, is_up: bool, words: tuple[str, ...]
) -> None:
    if is_up:
        bring_up(home, "mini-2node")
    assert offered(*words) == ["node1", "node2"]


def test_a_value_behind_an_equals_sign_is_completed_with_its_option() -> None:
    assert offered("lab.graph", "mini-2node", "--format=s")[0] == "--format=svg"


def test_bash_hands_on_the_equals_sign_as_a_word_of_its_own() -> None:
    assert offered("lab.graph", "mini-2node", "--format", "=") == ["svg", "mermaid", "dot"]


@pytest.mark.parametrize("name", ["nosuch", "..", ""])
def test_of_an_unknown_lab_nothing_is_offered(name: str) -> None:
    assert offered("lab.ssh", name, "--node", "") == []


def test_a_damaged_record_is_not_told_at_a_tab(home: HostPaths) -> None:
    bring_up(home, "mini-2node")
    for text in ("{", "[]", "{}"):
        home.lab("mini-2node").resolved.write_text(text)
        assert offered("lab.ssh", "mini-2node", "--node", "") == []


def test_images_and_faults_and_shells() -> None:
    assert "debian-12" in offered("image.build", "")
    assert "debian-12" not in offered("image.verify", "debian-12", "")
    assert "link-down" in offered("lab.fault", "mini-2node", "")
    assert offered("completion", "") == ["bash", "zsh", "fish"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("link-down", ""), ["node1", "node2"]),
        (("link-down", "node1", ""), ["eth0"]),
        (("link-down", "node1", "eth0", ""), []),
        (("pause", ""), ["node1", "node2"]),
        (("pause", "node1", ""), []),
        (("partition", ""), ["net"]),
        (("partition", "net", ""), ["node1", "node2"]),
        (("partition", "net", "node1,"), ["node1,node2"]),
        (("partition", "net", "node1", ""), ["node1", "node2"]),
        (("nonsense", ""), []),
    ],
)
def test_the_words_of_a_fault(words: tuple[str, ...], expected: list[str]) -> None:
    assert offered("lab.fault", "mini-2node", *words) == expected
    assert offered("lab.fault", "--undo", "mini-2node", *words) == expected


def test_several_of_a_kind_are_joined_by_commas() -> None:
    assert offered("lab.check", "mini-2node", "--layer", "nodes,p")[0] == "nodes,pairs"
    assert offered("lab.check", "mini-2node", "--node", "node1,") == ["node1,node2"]


def test_options_of_the_task_and_of_invoke() -> None:
    assert {"--ttl", "--checks", "--no-checks", "--help"} <= set(offered("lab.up", "--"))
    assert "--list" in offered("--")


def test_behind_the_dashes_stands_a_command_for_the_nodes() -> None:
    assert offered("lab.exec", "mini-2node", "--", "") == []


@pytest.mark.parametrize("words", [("lab.up", "mini-2node", "--ttl", ""), ("lab.validate", "")])
def test_where_a_file_or_a_free_text_is_wanted_the_shell_completes(words: tuple[str, ...]) -> None:
    assert offered(*words) == []


def test_the_words_that_are_written_out_are_those_of_the_slow_modules() -> None:
    assert set(candidates.FAULTS) == set(FaultKind)
    assert set(candidates.LAYERS) == set(Layer)
    assert set(candidates.FORMATS) == set(graph.FORMATS)
    assert {read_kind(word) for word in candidates.KINDS} == set(NodeKind)
    assert {f"invoke.{shell}" for shell in candidates.SHELLS} == {
        script.name for script in SCRIPTS.iterdir()
    }
    assert {*candidates._installers(candidates._TypedLine()), "none"} == set(Installer)
    assert candidates._images(candidates._TypedLine()) == list(catalogue.load())


def test_every_word_of_a_parameter_can_be_completed() -> None:
    used = {word for task in all_tasks() for word in task.words.values()}
    assert used <= set(candidates._SOURCES)
    assert set(candidates._SOURCES) == set(Completes)


def test_a_new_lab_s_original_is_completed_and_its_name_is_free_text() -> None:
    assert offered("lab.new", "mine", "--from", "") == list(spec.names(LABS))
    assert offered("lab.new", "mine", "--from=con") == [f"--from={lab}" for lab in spec.names(LABS)]
    assert offered("lab.new", "") == []
    assert "--from" in offered("lab.new", "mine", "--")


@pytest.mark.parametrize("is_up", [True, False])
@pytest.mark.parametrize("option", ["--from", "--to"])
def test_a_stage_is_completed_from_the_lab(home: HostPaths, is_up: bool, option: str) -> None:
    if is_up:
        bring_up(home, "contrail-3node")
    stages = offered("lab.stack", "contrail-3node", option, "")
    assert stages == [stage.name for stage in rendering.stages(spec.load(CONTRAIL))]
    assert len(stages) > 3
    assert offered("lab.stack", "mini-2node", option, "") == []
    assert offered("lab.stack", "no-such-lab", option, "") == []
