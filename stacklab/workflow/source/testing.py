"""`dev.test`: a project's own unit tests, on a node that has what they import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stacklab.errors import CheckFailed, LabError, NotChecked
from stacklab.foreign import number, one_line, printable
from stacklab.nodes import programs
from stacklab.workflow.context import Context, running_lab
from stacklab.workflow.debug.services import list_services
from stacklab.workflow.source.placed import read_checkout
from stacklab.workflow.source.projects import nodes_of, project_named, refuse_containers

_TAG = "tests"
_LIMIT_S = 3600.0
_MOST_FAILED = 5  # named in one line
# What tests import beside what services do; Debian's packages.
_PACKAGES = (
    *("python3-stestr", "python3-subunit", "python3-oslotest", "python3-testtools"),
    *("python3-fixtures", "python3-testscenarios", "python3-testresources", "python3-ddt"),
    *("python3-requests-mock", "python3-webtest"),
)
_PACKAGES_OF = {
    "nova": (
        *("python3-gabbi", "python3-wsgi-intercept", "python3-osprofiler"),
        *("python3-ironicclient", "python3-barbicanclient", "python3-hacking"),
    ),
    "neutron": ("python3-ddt", "python3-os-testr"),
    "keystone": ("python3-freezegun", "python3-ldappool"),
    "placement": ("python3-gabbi", "python3-wsgi-intercept"),
}
_GOOD = ("success", "skip", "xfail")
_CUT = "there were more than one session takes"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectTest:
    """A test, and how it ended; all words of the node's are printable."""

    name: str
    status: str  # success, skip, xfail; fail, error, uxsuccess, inprogress
    seconds: float
    detail: str

    @property
    def is_good(self) -> bool:
        """Return True unless it tells that something is wrong."""
        return self.status in _GOOD


def run(
    context: Context, name: str, project_name: str, *, regex: str = "", node: str = ""
) -> tuple[ProjectTest, ...]:
    """Run a project's unit tests, or those whose names fit, on a node that has its source.

    Raises LabError for a project that was not checked out, NotChecked if no test ran, or if not all
    of them could be heard.
    """
    project = project_named(project_name)
    lab, paths = running_lab(context, name)
    services = list_services(context, lab, paths)
    refuse_containers(lab, project, services)
    nodes = nodes_of(project, services, node)
    having = [each for each in nodes if read_checkout(paths, project, each) is not None]
    if not having:
        who = f"{node} has no" if node else f"no node of {lab.name} has a"
        raise LabError(
            f"{who} source of {project.name}",
            hint=f"./invoke dev.checkout {lab.name} {project.name} --from DIR",
        )
    where = having[0]
    argv = ["python3", "-", project.name, "--workers", str(lab.node(where).cpus)]
    for package in (*_PACKAGES, *_PACKAGES_OF.get(project.name, ())):
        argv += ["--install", package]
    if regex:
        argv += ["--regex", regex]
    counts = {"heard": 0}

    def heard(line: str) -> None:
        counts["heard"] += sum(1 for _ in read_tests(programs.read_json([line])))
        context.progress.say(where, f"tests of {project.name}: {counts['heard']} ended")

    with context.progress.stage(where, f"tests of {project.name}"):
        program = programs.source_of("unit_tests_node")
        ended = programs.run(
            context.runner, paths, where, argv, program, tag=_TAG, limit_s=_LIMIT_S, heard=heard
        )
    tests = tuple(read_tests(ended.objects))
    is_whole = any(line.get("ran") == len(tests) for line in ended.objects)
    if ended.failed or not is_whole:
        raise NotChecked(
            f"{where}: tests of {project.name}: {ended.failed or ended.why or _CUT}",
            hint=f"a part of them: ./invoke dev.test {lab.name} {project.name} REGEX",
        )
    return tests


def raise_for(project: str, tests: Sequence[ProjectTest], *, hint: str = "") -> None:
    """Raise CheckFailed if a test failed; `hint` is what to type before all else."""
    bad = [test.name for test in tests if not test.is_good]
    if not bad:
        return
    more = f" and {len(bad) - _MOST_FAILED} more" if len(bad) > _MOST_FAILED else ""
    hints = [hint] if hint else []
    raise CheckFailed(
        f"{len(bad)} of {len(tests)} tests of {project} failed: "
        f"{', '.join(bad[:_MOST_FAILED])}{more}",
        hint="; ".join([*hints, "--junit FILE has what each of them said"]),
    )


def read_tests(said: Iterable[Mapping[str, Any]]) -> Iterator[ProjectTest]:
    """Yield the tests of which lines tell, in good form."""
    for line in said:
        if isinstance(line.get("test"), str):
            yield _test_of(line)
        # Most tests pass, so the driver tells several of them in one line.
        passed = line.get("passed")
        if not isinstance(passed, list):
            continue
        for each in passed:
            if isinstance(each, list) and len(each) == 2:
                name, seconds = each
                yield _test_of({"test": name, "status": "success", "seconds": seconds})


def _test_of(line: Mapping[str, Any]) -> ProjectTest:
    return ProjectTest(
        name=one_line(str(line["test"])),
        status=one_line(str(line.get("status", ""))),
        seconds=number(line.get("seconds")),
        detail=printable(str(line.get("detail", ""))),
    )
