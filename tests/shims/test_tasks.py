"""The tasks without libvirt, as a user runs them: a process, two streams, an exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab import record
from stacklab.images import catalogue
from stacklab.model.lab_json import to_json
from stacklab.paths import HostPaths
from stacklab.paths.project import PROJECT
from stacklab.providers import registry
from stacklab.spec import load

Done = subprocess.CompletedProcess[str]
Invoke = Callable[..., Done]
LABS = ("contrail-3node", "mini-2node")


@pytest.fixture
def invoke(tmp_path: Path) -> Invoke:
    """Run `invoke WORDS` in the project, with a home, and a PATH without anything of libvirt."""

    def run(*words: str, cwd: Path = PROJECT, **more: str) -> Done:
        environment = {
            **os.environ,
            "STACKLAB_HOME": str(tmp_path / "home"),
            "COLUMNS": "200",
            "NO_COLOR": "1",
            **more,
        }
        argv = [sys.executable, "-m", "invoke", *words]
        started = time.monotonic()
        done = subprocess.run(
            argv, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        print(f"invoke {' '.join(words)}: {time.monotonic() - started:.2f} s")
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def refused(done: Done, code: int) -> str:
    """What was said on stderr by a task that refused; nothing is on stdout."""
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    return done.stderr


def test_the_labs_are_listed_with_what_they_are(invoke: Invoke) -> None:
    done = invoke("lab.list")
    assert done.returncode == 0
    for name, what in zip(
        LABS, ("a controller and two computes", "Two nodes on one network"), strict=True
    ):
        assert any(name in line and what in line for line in done.stdout.splitlines())


def test_the_list_for_machines_is_json_and_nothing_else(invoke: Invoke) -> None:
    found = json.loads(invoke("lab.list", "--json").stdout)
    assert {"contrail-3node", "mini-2node"} <= {each["name"] for each in found}
    assert all(each["description"] for each in found)


def test_a_lab_is_shown_with_every_default_filled_in(invoke: Invoke) -> None:
    done = invoke("lab.show", "mini-2node")
    assert done.returncode == 0
    assert "192.168.151.0/24" in done.stdout
    assert "node2" in done.stdout
    whole = json.loads(invoke("lab.show", "mini-2node", "--json").stdout)
    assert [node["name"] for node in whole["nodes"]] == ["node1", "node2"]
    assert [node["memory_mib"] for node in whole["nodes"]] == [512, 512]


def test_a_flag_may_stand_before_the_name(invoke: Invoke) -> None:
    assert json.loads(invoke("lab.show", "--json", "mini-2node").stdout)["name"] == "mini-2node"


def test_all_labs_of_the_project_are_valid(invoke: Invoke) -> None:
    done = invoke("lab.validate")
    count = len(list((PROJECT / "labs").glob("*.yaml")))
    assert (done.returncode, done.stdout) == (0, f"{count} labs valid\n")


def test_the_files_that_are_named_are_validated(invoke: Invoke) -> None:
    done = invoke("lab.validate", "labs/mini-2node.yaml")
    assert (done.returncode, done.stdout) == (0, "1 lab valid\n")
    done = invoke("lab.validate", "labs/mini-2node.yaml", "labs/contrail-3node.yaml")
    assert (done.returncode, done.stdout) == (0, "2 labs valid\n")


def test_all_that_is_wrong_with_several_files_is_told_at_once(
    invoke: Invoke, tmp_path: Path
) -> None:
    good = (PROJECT / "labs" / "mini-2node.yaml").read_text()
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(good.replace("memory: 512MiB", "memroy: 512MiB"))
    second.write_text(good.replace("192.168.151.0/24", "192.168.151.0/33"))
    said = refused(invoke("lab.validate", str(first), "labs/mini-2node.yaml", str(second)), 2)
    assert f"{first}:" in said
    assert "memory" in said
    assert f"{second}:" in said
    assert "next: " in said


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("broken.yaml", b"nodes: [\n"),
        ("binary.yaml", b"\x00\xff\xfe"),
        ("empty.yaml", b""),
        ("gone.yaml", None),
    ],
)
def test_what_is_no_lab_at_all_is_refused(
    invoke: Invoke, tmp_path: Path, name: str, content: bytes | None
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert str(path) in refused(invoke("lab.validate", str(path)), 2)


def test_a_directory_is_no_lab(invoke: Invoke, tmp_path: Path) -> None:
    assert str(tmp_path) in refused(invoke("lab.validate", str(tmp_path)), 2)


@pytest.mark.parametrize("task", ["lab.up", "lab.show", "lab.plan", "lab.rebuild", "doctor"])
def test_an_unknown_lab_is_refused_with_the_nearest(
    invoke: Invoke, task: str, tmp_path: Path
) -> None:
    said = refused(invoke(task, "contrail-3nod"), 2)
    assert "no lab 'contrail-3nod' in labs/ (did you mean contrail-3node?)" in said
    assert "next: ./invoke lab.list" in said
    assert not (tmp_path / "home").exists()


def test_a_plan_tells_what_up_would_do_and_touches_nothing(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("lab.plan", "contrail-3node")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for what in ("node controller", "node compute2", "network fabric"):
        assert any(line.startswith(what) and " make " in line for line in lines), what
    assert any(line.startswith("answers controller") and "/opt/stack" in line for line in lines)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("task", ["lab.status", "lab.check", "lab.ssh", "lab.console"])
def test_a_lab_that_is_not_up_is_told_with_what_to_type(
    invoke: Invoke, task: str, tmp_path: Path
) -> None:
    said = refused(invoke(task, "mini-2node"), 1)
    assert "lab mini-2node is not up" in said
    assert "next: ./invoke lab.up mini-2node" in said
    assert not (tmp_path / "home").exists()


def test_status_of_an_unknown_lab_is_an_error(invoke: Invoke) -> None:
    assert "lab nosuch is not up" in refused(invoke("lab.status", "nosuch"), 1)


def test_status_of_nothing_is_an_empty_table_and_an_empty_list(invoke: Invoke) -> None:
    assert invoke("lab.status").stdout.split() == ["lab", "node", "state", "address", "image"]
    assert json.loads(invoke("lab.status", "--json").stdout) == []


@pytest.mark.parametrize("name", ["..", "../labs", "/", "."])
@pytest.mark.parametrize("task", ["lab.destroy", "lab.down", "lab.status"])
def test_a_name_that_is_a_path_goes_nowhere(
    invoke: Invoke, tmp_path: Path, task: str, name: str
) -> None:
    precious = tmp_path / "home" / "labs" / "precious"
    precious.mkdir(parents=True)
    assert "is not a lab's name" in refused(invoke(task, name), 1)
    assert precious.is_dir()


def test_destroy_of_nothing_is_success(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("lab.destroy", "mini-2node")
    assert (done.returncode, done.stdout) == (0, "nothing of lab mini-2node exists on this host\n")
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file()] == []


def test_destroy_of_what_no_lab_is_called_is_a_slip(invoke: Invoke) -> None:
    said = refused(invoke("lab.destroy", "contrial-3node"), 1)
    assert "nothing of it exists on this host (did you mean contrail-3node?)" in said
    assert "./invoke lab.list" in refused(invoke("lab.destroy", "nosuch"), 1)


@pytest.mark.parametrize(
    ("words", "problem", "next_step"),
    [
        (("lab.chek",), "did you mean lab.check?", "./invoke -l"),
        (("--help", "lab.chek"), "did you mean lab.check?", "./invoke -l"),
        (("lab.up", "x", "--tll", "2h"), "did you mean --ttl?", "./invoke --help lab.up"),
        (("lab.up",), "lab.up needs NAME", "./invoke --help lab.up"),
        (("lab.up", "x", "--ttl"), "--ttl needs a value", "./invoke --help lab.up"),
    ],
)
def test_a_wrong_command_line_is_told_with_the_next_step(
    invoke: Invoke, words: tuple[str, ...], problem: str, next_step: str
) -> None:
    said = refused(invoke(*words), 1)
    assert problem in said
    assert said.endswith(f"\n  next: {next_step}\n")


def test_an_unknown_shell_is_refused_with_the_known_ones(invoke: Invoke) -> None:
    said = refused(invoke("completion", "tcsh"), 1)
    assert "shells: bash, zsh, fish" in said
    assert "next: ./invoke completion bash" in said


def test_exec_without_a_command_says_how(invoke: Invoke) -> None:
    said = refused(invoke("lab.exec", "mini-2node"), 1)
    assert "no command given" in said
    assert "next: ./invoke lab.exec mini-2node -- uptime" in said


def test_exec_whose_command_stands_before_the_dashes_says_how(invoke: Invoke) -> None:
    said = refused(invoke("lab.exec", "mini-2node", "uptime"), 1)
    assert "next: ./invoke lab.exec mini-2node -- uptime" in said


def test_exec_on_a_lab_that_is_not_up_is_refused(invoke: Invoke) -> None:
    assert "is not up" in refused(invoke("lab.exec", "mini-2node", "--", "uptime"), 1)


def test_images_are_listed_though_none_is_built(invoke: Invoke) -> None:
    done = invoke("image.list")
    assert done.returncode == 0
    assert any("debian-12" in line and "not built" in line for line in done.stdout.splitlines())


def test_an_unknown_image_is_refused_with_the_known_ones(invoke: Invoke) -> None:
    said = refused(invoke("image.build", "debian-99"), 8)
    assert "no image 'debian-99'" in said
    assert "debian-12" in said
    assert "next: ./invoke image.list" in said


def test_images_that_are_not_there_are_neither_verified_nor_pruned(invoke: Invoke) -> None:
    assert "image debian-12 is not built" in refused(invoke("image.verify", "debian-12"), 8)
    assert invoke("image.verify").stdout == "no image is built\n"
    assert invoke("image.prune").stdout == "nothing to delete\n"


def test_a_task_that_needs_no_vagrant_does_not_mind_that_there_is_none(
    invoke: Invoke, tmp_path: Path
) -> None:
    done = invoke("lab.plan", "mini-2node", PATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_ends_what_runs_on_the_nodes_at_once(tmp_path: Path) -> None:
    """A stand-in for ssh would run for a minute; both streams are closed when it is gone, too."""
    lab = load(PROJECT / "labs" / "mini-2node.yaml", known_images=catalogue.load())
    paths = HostPaths(tmp_path / "home").lab(lab.name)
    record.write(
        paths, registry.new_record(lab, paths, image="debian-12-abc", passed_over={}, now=0)
    )
    paths.resolved.write_text(to_json(lab))
    ssh, begun = tmp_path / "bin" / "ssh", tmp_path / "begun"
    ssh.parent.mkdir()
    ssh.write_text(f"#!/bin/sh\n: > {begun}\nexec sleep 60\n")
    ssh.chmod(0o755)
    path = f"{ssh.parent}:{os.environ['PATH']}"
    environment = {**os.environ, "STACKLAB_HOME": str(paths.host.root), "PATH": path}
    argv = [sys.executable, "-m", "invoke", "lab.exec", lab.name, "--", "sleep", "60"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        argv, cwd=PROJECT, env=environment, stdout=pipe, stderr=pipe, text=True
    ) as process:
        deadline = time.monotonic() + 30
        while not begun.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=50)
    assert process.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said


def test_a_reader_that_goes_away_is_no_error_of_ours(tmp_path: Path) -> None:
    environment = {**os.environ, "STACKLAB_HOME": str(tmp_path)}
    argv = [sys.executable, "-m", "invoke", "lab.show", "contrail-3node", "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, cwd=PROJECT, env=environment, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 141
    assert said == b""


def test_rendering_does_not_wait_for_the_lint() -> None:
    code = "import sys, stacklab.views.answers, stacklab.installers.rendering; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    loaded = {name for name in done.stdout.split() if name.startswith("stacklab.")}
    assert "stacklab.installers.rendering" in loaded
    # The words in which a kit says what it lints, and none of the rules.
    words = {f"stacklab.lint{part}" for part in ("", ".finding", ".scope", ".kinds")}
    assert {name for name in loaded if ".lint" in name} <= words
