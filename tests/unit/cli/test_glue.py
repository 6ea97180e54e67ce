"""The collection of all tasks: names, help, exit codes."""

from __future__ import annotations

import inspect

import pytest
from invoke import Exit

import tasks
from stacklab.cli.framework.glue import LabTask, task
from stacklab.errors import HostError, LabError, SpecError

NAMES = sorted(tasks.ns.task_names)


def test_all_tasks_are_there() -> None:
    assert NAMES == [
        "answers.diff",
        "answers.lint",
        "answers.push",
        "answers.releases",
        "answers.render",
        "answers.rules",
        "answers.steps",
        "bench.check",
        "bench.cli",
        "bench.cloud",
        "bench.peers",
        "bench.snapshot",
        "bench.up",
        "cache.list",
        "cache.prune",
        "cloud.forget",
        "cloud.report",
        "cloud.smoke",
        "cloud.tempest",
        "completion",
        "debug.attach",
        "debug.break",
        "debug.detach",
        "debug.sources",
        "debug.status",
        "dev.checkout",
        "dev.revert",
        "dev.status",
        "dev.sync",
        "dev.test",
        "doctor",
        "image.build",
        "image.list",
        "image.prune",
        "image.verify",
        "lab.check",
        "lab.cloud",
        "lab.console",
        "lab.destroy",
        "lab.down",
        "lab.exec",
        "lab.export",
        "lab.fault",
        "lab.graph",
        "lab.import",
        "lab.list",
        "lab.logs",
        "lab.new",
        "lab.openrc",
        "lab.plan",
        "lab.reap",
        "lab.rebuild",
        "lab.restore",
        "lab.show",
        "lab.snapshot",
        "lab.snapshot-delete",
        "lab.snapshots",
        "lab.ssh",
        "lab.stack",
        "lab.status",
        "lab.up",
        "lab.validate",
        "mirror.fill",
        "test.all",
        "test.consumers",
        "trace.boot",
        "trace.detail",
        "trace.messages",
        "trace.request",
        "trace.run",
        "trace.volume",
    ]
    assert tasks.ns["test"] is tasks.ns["test.all"]


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_has_help_and_every_task_one_line(name: str) -> None:
    made = tasks.ns[name]
    assert isinstance(made, LabTask)
    parameters = list(inspect.signature(made.body).parameters)[1:]
    assert sorted(made.help) == sorted(parameters)
    assert all(text and not text.endswith(".") for text in made.help.values())
    first_line = (made.__doc__ or "").strip().splitlines()[0]
    assert first_line.endswith(".")
    assert len(first_line) <= 100


@pytest.mark.parametrize("name", NAMES)
def test_no_task_has_a_short_option(name: str) -> None:
    (context,) = (one for one in tasks.ns.to_contexts() if one.name == name)
    assert [flag for flag in context.flags if not flag.startswith("--")] == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LabError("no", hint="this"), 1),
        (SpecError((), hint="this"), 2),
        (HostError("no", hint="this"), 9),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 141),
    ],
)
def test_an_expected_error_is_an_exit_code(error: BaseException, code: int) -> None:
    @task("some.thing")
    def thing(_c: object) -> None:
        raise error

    with pytest.raises(Exit) as caught:
        thing.body(None)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("resumes", "then"), [(True, "it goes on from here"), (False, "it begins anew")]
)
def test_ctrl_c_says_what_the_same_command_does_then(resumes: bool, then: str) -> None:
    @task("some.thing", resumes=resumes)
    def thing(_c: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Exit, match=then):
        thing.body(None)


def test_a_bug_keeps_its_traceback() -> None:
    @task("some.thing")
    def thing(_c: object) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        thing.body(None)
