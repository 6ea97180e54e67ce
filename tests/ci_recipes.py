"""What the workflow files in docs/ci tell a runner to do, read out of them for the tests."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stacklab.paths.project import PROJECT

DOCS = PROJECT / "docs" / "ci"
FILES = tuple(sorted(DOCS.glob("*.yml")))
_INVOKE = re.compile(r"(?:^|[|&;]\s*|\s)\./invoke ([^|&;#\n]+)")


@dataclass(frozen=True)
class Step:
    """Shell that a runner runs; `when` is on_success, on_failure or always."""

    name: str
    shell: str
    when: str = "on_success"


@dataclass(frozen=True)
class Job:
    """A job, as far as it is shell."""

    file: str
    name: str
    environment: Mapping[str, str]
    steps: Sequence[Step]
    ok_codes: Sequence[int] = (0,)

    def __str__(self) -> str:
        return f"{self.file}:{self.name}"

    @property
    def invocations(self) -> list[list[str]]:
        """The words behind each ./invoke, in order, with the environment's values put in."""
        lines = (found[1] for step in self.steps for found in _INVOKE.finditer(step.shell))
        return [[self._expanded(word) for word in shlex.split(line)] for line in lines]

    def _expanded(self, word: str) -> str:
        return re.sub(r"\$(\w+)", lambda found: self.environment[found[1]], word)


def _github(path: Path, data: Mapping[str, Any]) -> list[Job]:
    def when(step: Mapping[str, Any]) -> str:
        condition = step.get("if", "")
        return (
            "always"
            if condition == "always()"
            else "on_failure"
            if "failure()" in condition
            else "on_success"
        )

    return [
        Job(
            file=path.name,
            name=name,
            environment=data["env"],
            steps=[
                Step(each["name"], each["run"], when(each))
                for each in job["steps"]
                if "run" in each
            ],
        )
        for name, job in data["jobs"].items()
    ]


def _gitlab(path: Path, data: Mapping[str, Any]) -> list[Job]:
    """One shell runs before_script and script, another one after_script."""

    def one(name: str, job: Mapping[str, Any]) -> Job:
        main = "\n".join([*job.get("before_script", ()), *job["script"]])
        after = "\n".join(job.get("after_script", ()))
        steps = [Step("script", main), *([Step("after_script", after, "always")] if after else [])]
        ok_codes = (0, *job.get("allow_failure", {}).get("exit_codes", ()))
        return Job(path.name, name, {**data["variables"]}, steps, ok_codes)

    return [
        one(name, job) for name, job in data.items() if isinstance(job, dict) and "script" in job
    ]


def jobs() -> list[Job]:
    """Every job of every workflow file."""
    found = []
    for path in FILES:
        data = yaml.safe_load(path.read_text())
        found += _github(path, data) if "jobs" in data else _gitlab(path, data)
    return found
