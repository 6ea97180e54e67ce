"""What a wrong command line is answered with."""

from __future__ import annotations

import pytest

from stacklab.cli.framework import usage

FLAGS = {"lab.up": ["--checks", "--ttl"], "lab.check": ["--wait"], "image.list": []}


@pytest.mark.parametrize(
    ("message", "task", "problem", "next_step"),
    [
        (
            "No idea what 'lab.chek' is!",
            None,
            "there is no task 'lab.chek' (did you mean lab.check?)",
            "./invoke -l",
        ),
        ("No idea what 'zzz' is!", None, "there is no task 'zzz'", "./invoke -l"),
        (
            "No idea what '--tll' is!",
            "lab.up",
            "lab.up has no option --tll (did you mean --ttl?)",
            "./invoke --help lab.up",
        ),
        ("No idea what '--zzz' is!", None, "./invoke has no option --zzz", "./invoke -l"),
        (
            "No idea what 'two' is!",
            "lab.up",
            "'two' is one word too many for lab.up, and is not a task either",
            "./invoke --help lab.up",
        ),
        (
            "'lab.up' did not receive required positional arguments: 'name'",
            "lab.up",
            "lab.up needs NAME",
            "./invoke --help lab.up",
        ),
        (
            "Flag <Argument: dry_run (d)> needed value and was not given one!",
            "lab.up",
            "--dry-run needs a value",
            "./invoke --help lab.up",
        ),
        ("something new", "lab.up", "something new", "./invoke --help lab.up"),
    ],
)
def test_a_complaint_names_the_task_and_the_next_step(
    message: str, task: str | None, problem: str, next_step: str
) -> None:
    assert usage.explain_complaint(message, task, FLAGS) == f"{problem}\n  next: {next_step}"


def test_a_word_with_quotes_in_it_is_understood() -> None:
    message = f"No idea what {chr(34)}it's{chr(34)} is!"
    assert usage.explain_complaint(message, None, FLAGS).startswith('there is no task "it\'s"')
