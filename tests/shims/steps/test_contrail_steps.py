"""What contrail.sh's odd ways ask of its steps; their tests are run by bash, on trees of files."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab import releases
from stacklab.installers import rendering as answers
from stacklab.installers.rendering import Step
from stacklab.model.lab import Lab
from stacklab.model.stack import Installer, Role
from stacklab.stages.stage import Stage
from tests.unit.installers.contrail.labs import BRANCHES, make_lab
from tests.unit.installers.kit.test_host import with_stack

ALL_IN_ONE = (("aio", Role.CONTROLLER),)
# What the installer's own contrail.sh has in its lines, of both kinds of branches.
LISTED = "    ENABLED_SERVICES=named,query-engine,agent,redis-w,ui-jobs\n"
SCOPE = "sudo -n systemd-run --quiet --scope sudo -n -H -u stack "
CALLED = '    test_insert_vrouter\n    screen_it agent "sudo $TOP_DIR/bin/vnsw.hlpr"\n'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "contrail-installer"
    (made / "status" / "contrail").mkdir(parents=True)
    return made


@pytest.fixture
def api() -> Iterator[int]:
    """The port of something that answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        yield port


def stages_at(lab: Lab, node: str) -> dict[str, Stage]:
    suffix = f"@{node}"
    return {
        stage.name.removesuffix(suffix): stage
        for stage in answers.stages(lab)
        if stage.name.endswith(suffix)
    }


def step(lab: Lab, title: str, node: str = "controller") -> Step:
    found = [each for each in answers.steps(lab) if each.title.startswith(title)]
    return next(each for each in found if each.node == node)


def here(text: str, tree: Path) -> str:
    return text.replace("/opt/stack", str(tree.parent))


def holds(test: str, tree: Path) -> bool:
    run = subprocess.run(("bash", "-c", here(test, tree)), capture_output=True, timeout=20)
    return run.returncode == 0


def test_each_verb_is_a_stage_and_the_plugin_comes_before_devstack() -> None:
    found = stages_at(make_lab(), "controller")
    assert list(found) == ["sources", "build", "install", "configure", "start", "stack"]
    assert [each.title for each in found["configure"].steps] == [
        "contrail.sh configure",
        "take the vrouter agent out: it runs on the computes",
    ]
    titles = [each.title for each in found["stack"].steps]
    assert titles == ["give DevStack the opencontrail plugin", "run DevStack"]


def test_a_compute_builds_beside_the_controller_but_starts_after_it() -> None:
    found = stages_at(make_lab(), "compute1")
    assert [each.title for each in found["configure"].steps] == ["contrail.sh configure"]
    assert found["build"].after == ("sources@compute1",)
    assert found["start"].after == ("configure@compute1", "stack@controller")


@pytest.mark.parametrize(
    ("stage", "is_built", "is_installed"),
    [
        ("started", False, False),
        ("fetch-packages", False, False),
        ("Build", True, False),
        ("install", True, True),
        ("uninstall", False, False),
    ],
)
def test_how_far_it_came_is_read_from_its_file(
    tree: Path, stage: str, is_built: bool, is_installed: bool
) -> None:
    lab = make_lab()
    (tree / ".stage.txt").write_text(f"{stage}\n")
    assert holds(step(lab, "contrail.sh build").done, tree) is is_built
    assert holds(step(lab, "contrail.sh install").done, tree) is is_installed


def test_a_compute_is_not_built_without_the_agent(tree: Path) -> None:
    done = step(make_lab(), "contrail.sh build", "compute1").done
    (tree / ".stage.txt").write_text("Build\n")
    assert not holds(done, tree)
    agent = tree.parent / "contrail/build/production/vnsw/agent/contrail/contrail-vrouter-agent"
    agent.parent.mkdir(parents=True)
    agent.touch()
    assert holds(done, tree)
    packages = step(make_lab("R2.20"), "contrail.sh build", "compute1").done
    assert "vnsw" not in packages


@pytest.mark.parametrize(
    ("stage", "has_agent", "then"),
    [("Build", False, "fetch-packages"), ("Build", True, "Build"), ("install", False, "install")],
)
def test_an_agent_that_was_not_built_is_built_again(
    tree: Path, stage: str, has_agent: bool, then: str
) -> None:
    (tree / "contrail.sh").write_text("cat .stage.txt >at\n")
    (tree / ".stage.txt").write_text(f"{stage}\n")
    agent = tree.parent / "contrail/build/debug/vnsw/agent/contrail/contrail-vrouter-agent"
    if has_agent:
        agent.parent.mkdir(parents=True)
        agent.touch()
    assert holds(step(make_lab(), "contrail.sh build", "compute1").command, tree)
    assert (tree / "at").read_text().strip() == then


def test_contrails_sources_are_where_the_spec_wants_them() -> None:
    moved = with_stack(make_lab(), answers=(("CONTRAIL_SRC", "/srv/contrail"),))
    assert "'/srv/contrail/build/" in step(moved, "contrail.sh build", "compute1").done


@pytest.mark.parametrize("branch", BRANCHES)
def test_the_agent_is_out_when_its_lines_are(tree: Path, branch: str) -> None:
    out = step(make_lab(branch), "take the vrouter agent out")
    script = tree / "contrail.sh"
    script.write_text(CALLED if branch == "R1.06" else LISTED)
    assert not holds(out.done, tree)
    assert holds(out.command, tree)
    assert holds(out.done, tree)
    assert "agent,redis-w" not in script.read_text()
    assert "\n    screen_it agent" not in f"\n{script.read_text()}"


def test_every_release_says_how_to_tell_that_the_agent_is_there() -> None:
    for name in releases.of(Installer.CONTRAIL):
        row = releases.find(Installer.CONTRAIL, name)
        assert row.text("without_agent")
        assert row.text("has_agent")


def without_scope(command: str) -> str:
    """Return the command as it can be tried: without systemd, and as whoever runs the tests."""
    assert SCOPE in command
    return command.replace(SCOPE, "")


def started(lab: Lab, node: str, api: int) -> str:
    """A start's test, of which the API listens on this host."""
    done = step(lab, "contrail.sh start", node).done
    return re.sub("/dev/tcp/10.150.0.[0-9]+/8082", f"/dev/tcp/127.0.0.1/{api}", done)


def test_the_controller_has_started_if_the_api_answers_and_start_came_to_its_end(
    tree: Path, api: int
) -> None:
    done = started(make_lab(), "controller", api)
    assert f"/dev/tcp/127.0.0.1/{api}" in done
    (tree / "status/contrail/redis.pid").write_text(f"{os.getpid()}\n")
    assert not holds(done, tree)  # api-server did not start: exit 1, and files of processes
    (tree / ".started.txt").touch()
    assert holds(done, tree)
    assert not holds(done.replace(f"/{api}'", "/1'"), tree)


@pytest.mark.parametrize("node", ["compute1", "aio"])
def test_an_agent_that_ended_has_not_started(tree: Path, api: int, node: str) -> None:
    lab = make_lab(nodes=ALL_IN_ONE) if node == "aio" else make_lab()
    done = started(lab, node, api)
    (tree / ".started.txt").touch()
    pid = tree / "status/contrail/agent.pid"
    for gone in ("", "2147483646\n"):
        pid.write_text(gone)
        assert not holds(done, tree)
    pid.write_text(f"{os.getpid()}\n")
    assert holds(done, tree)


def test_what_a_broken_start_left_is_stopped_first(tree: Path) -> None:
    """With files of processes contrail.sh would start nothing, and end with 0."""
    (tree / "contrail.sh").write_text('echo "$1" >>verbs; ls status/contrail >>verbs\n')
    plain = without_scope(step(make_lab(), "contrail.sh start").command)
    assert holds(plain, tree)
    assert (tree / "verbs").read_text().split() == ["start"]
    (tree / "status/contrail/redis.pid").touch()
    (tree / ".started.txt").touch()
    (tree / "verbs").unlink()
    assert holds(plain, tree)
    assert (tree / "verbs").read_text().split() == ["stop", "redis.pid", "start"]
    (tree / "contrail.sh").write_text("exit 1\n")
    assert not holds(plain, tree)
    assert not (tree / ".started.txt").exists()


@pytest.mark.parametrize("title", ["contrail.sh start", "run DevStack"])
def test_what_runs_in_screen_lives_on_after_its_step(title: str) -> None:
    """A step is a unit, of which systemd ends what is left: the scope is another one."""
    command = step(make_lab(), title).command
    assert "sudo -n systemd-run --quiet --scope sudo -n -H -u stack /bin/bash -lc '" in command


def test_devstack_is_run_again_whatever_an_earlier_run_wrote() -> None:
    stage = stages_at(make_lab(), "controller")["stack"]
    assert stage.steps[-1].done == ""
    assert stage.done == "grep -qs 'stack.sh completed' /opt/stack/devstack/log/stack.log.summary"


def test_a_session_of_a_stack_sh_that_broke_off_is_ended_first(tree: Path) -> None:
    devstack = tree.parent / "devstack"
    programs = tree.parent / "bin"
    for directory in (devstack, programs):
        directory.mkdir()
    for name in ("stack.sh", "unstack.sh"):
        (devstack / name).write_text(f"#!/bin/sh\necho {name} >>ran\n")
        (devstack / name).chmod(0o755)
    screen = programs / "screen"
    plain = without_scope(step(make_lab(), "run DevStack").command)
    for session, ran in (("1234.stack", ["unstack.sh", "stack.sh"]), ("7.contrail", ["stack.sh"])):
        screen.write_text(f"#!/bin/sh\nprintf '\\t{session}\\t(Detached)\\n'\n")
        screen.chmod(0o755)
        (devstack / "ran").unlink(missing_ok=True)
        # Within, for a login shell has a PATH of its own.
        assert holds(f"PATH={programs}:$PATH; {plain}", tree)
        assert (devstack / "ran").read_text().split() == ran
