"""`cloud.tempest`: OpenStack's own integration tests, run from this host against a lab's cloud."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stacklab import files, locks
from stacklab.checks.cloud.proof import computes_of
from stacklab.errors import LabError, NotChecked
from stacklab.foreign import printable
from stacklab.model.lab import Lab, NodeKind
from stacklab.nodes.programs import read_json
from stacklab.paths import LabPaths
from stacklab.paths.project import PROJECT
from stacklab.process.command import Command
from stacklab.stages.stage import MINUTE_S
from stacklab.tools.venvs import Venv, venvs_directory
from stacklab.words import plural
from stacklab.workflow.cloud import client, smoke, tempest_config, tenant
from stacklab.workflow.context import Context, running_lab
from stacklab.workflow.source import testing
from stacklab.workflow.source.testing import ProjectTest, read_tests

_RESOURCES = "stacklab.drivers.cloud_resources"
_READER = "stacklab.drivers.subunit_lines"
_PREFIX = "stacklab-tempest"
_ROW = "cloud"  # of the progress
_WAIT_S = 5.0
_MAKE_S = 15 * MINUTE_S
_EMULATED_RUN_S = 240 * MINUTE_S
_RUN_S = 60 * MINUTE_S
_CURATED = PROJECT / "localrc" / "tempest" / "curated.txt"
_ID = re.compile(r"req-[0-9a-f-]{36}")
_MOST_IDS = 10

VENV = Venv(
    name=".cloud/tempest",
    directory=venvs_directory() / ".cloud" / "tempest",
    requirements=PROJECT / "requirements" / "tempest.txt",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenTests:
    """Tests that shall run: the curated ones, unless one of the others is given."""

    is_smoke: bool = False
    regex: str = ""
    load_list: str = ""  # a file with ids of tests, one a line
    name: str = ""  # of a directory, a module, a class or a test: tempest.api.network

    def arguments(self) -> tuple[str, ...]:
        """Return tempest's options; raises LabError for a file that can't be read."""
        given = (self.is_smoke, self.regex, self.load_list, self.name)
        if sum(map(bool, given)) > 1:
            raise LabError(
                "several ways to choose tests",
                hint="one of NAME, --smoke, --regex R, --load-list FILE",
            )
        if self.is_smoke:
            return ("--smoke",)
        if self.load_list:
            path = Path(self.load_list).expanduser()
            if not path.is_file():
                raise LabError(f"{path}: no such file", hint="a file with ids of tests, one a line")
            return ("--load-list", str(path.absolute()))
        if self.name:
            # A name ends where the next one begins, or the attributes of a test.
            plain = re.escape(self.name.removesuffix(".py").replace("/", "."))
            return ("--regex", rf"^{plain}(\.|\[|$)")
        if self.regex:
            return ("--regex", self.regex)
        return ("--include-list", str(_CURATED))


def run(
    context: Context, name: str, selection: ChosenTests, *, workers: int
) -> tuple[ProjectTest, ...]:
    """Run these tests, and delete what was made for them.

    Raises LabError for a cloud that they can't be run on, NotChecked if none ran.
    """
    lab, paths = running_lab(context, name)
    arguments = selection.arguments()
    client.prepare_venv(context)
    VENV.prepare(context.runner, tell=lambda text: context.progress.note("host", text))
    workspace = paths.cloud / "tempest"
    files.make_directory(workspace, mode=0o700)
    with locks.held(paths.cloud / "tempest.lock", f"cloud.tempest {name}", wait_s=_WAIT_S):
        with context.progress.stage(_ROW, "make an image, flavors and a network"):
            made = _resources(context, lab, paths, "make")
        try:
            _write_workspace(lab, paths, made, workspace)
            return _run(context, lab, workspace, arguments, workers)
        finally:
            _delete(context, lab, paths)


def _delete(context: Context, lab: Lab, paths: LabPaths) -> None:
    """Delete what was made; the results of hours must not be lost because something stays."""
    try:
        with context.progress.stage(_ROW, "delete them"):
            _resources(context, lab, paths, "delete")
    except LabError as error:
        context.progress.note(_ROW, f"{error.message}; the next run tries again")


def request_ids(tests: Sequence[ProjectTest]) -> tuple[str, ...]:
    """Return the ids of the last requests of the first test that failed."""
    for test in tests:
        if not test.is_good:
            return tuple(dict.fromkeys(_ID.findall(test.detail)))[-_MOST_IDS:]
    return ()


def raise_for(name: str, tests: Sequence[ProjectTest]) -> None:
    """Raise CheckFailed if a test failed."""
    ids = request_ids(tests)
    testing.raise_for(
        "tempest", tests, hint=f"./invoke trace.request {name} {ids[-1]}" if ids else ""
    )


def _resources(context: Context, lab: Lab, paths: LabPaths, order: str) -> Mapping[str, str]:
    """Make what tests need in the cloud, or delete it; returns the ids of what was made."""
    access = client.access_of(lab)
    if access.external is None:
        raise LabError(
            f"lab {lab.name} has no external network: this host could not reach its VMs",
            hint="write stack.external_network into its spec; see labs/openstack-3node.yaml",
        )
    paths.cloud.mkdir(mode=0o700, exist_ok=True)
    public_key = client.public_key(paths)
    orders = {
        "auth": client.login(lab, paths),
        "prefix": _PREFIX,
        "order": order,
        "tenant": tenant.extract(context, paths, public_key) if order == "make" else {},
        "public_key": public_key,
        "external": smoke.external_orders(access.external),
        "has_volumes": access.has_volumes,
    }
    what = f"to {order} what tests need in the cloud"
    command = client.driver_command(lab, _RESOURCES, orders, what=what, timeout_s=_MAKE_S)
    said = list(read_json(context.runner.run(command).stdout.splitlines()))
    if not said or "failed" in said[-1]:
        why = printable(str(said[-1]["failed"])) if said else "no answer"
        raise LabError(
            f"what tests need in the cloud of {lab.name}: can't {order} it: {why}",
            hint=f"./invoke cloud.smoke {lab.name}",
        )
    return {key: str(value) for key, value in said[-1].items()}


def _write_workspace(lab: Lab, paths: LabPaths, made: Mapping[str, str], workspace: Path) -> None:
    config = tempest_config.render(
        lab,
        client.login(lab, paths),
        made,
        workspace,
        computes=len(computes_of(lab)),
        has_volumes=client.access_of(lab).has_volumes,
    )
    files.make_directory(workspace / "etc", mode=0o700)
    files.write(workspace / "etc" / "tempest.conf", config, mode=0o600)
    (package,) = VENV.directory.glob("lib/python*/site-packages/tempest")
    grouping = r"group_regex=([^\.]*\.)*"
    files.write(
        workspace / ".stestr.conf",
        f"[DEFAULT]\ntest_path={package}/test_discover\ntop_dir={package.parent}\n{grouping}\n",
    )


def _run(
    context: Context, lab: Lab, workspace: Path, arguments: Sequence[str], workers: int
) -> tuple[ProjectTest, ...]:
    is_emulated = any(node.kind is NodeKind.VM for node in lab.nodes)
    tests: list[ProjectTest] = []

    def heard(line: str, _at: float) -> None:
        for test in read_tests(read_json([line])):
            tests.append(test)
            context.progress.note(_ROW, f"{test.status} in {test.seconds:.1f} s: {test.name}")

    program = (str(VENV.program("tempest")), "run", "--subunit", "--concurrency", str(workers))
    command = Command(
        argv=(str(VENV.python), "-m", _READER, *program, *arguments),
        what="tempest",
        cwd=workspace,
        env={
            **client.environment(lab),
            "PYTHONPATH": str(client.import_path()),
            "TEMPEST_CONFIG_DIR": str(workspace / "etc"),
            "OS_TEST_TIMEOUT": "3600" if is_emulated else "600",
        },
        timeout_s=_EMULATED_RUN_S if is_emulated else _RUN_S,
        ok_codes=tuple(range(256)),
    )
    with context.progress.stage(_ROW, "tempest"):
        result = context.runner.converse(command, heard=heard)
    words = printable(result.stderr[-1000:].strip())
    if not tests:
        raise NotChecked(
            f"no test has run: {words or 'none fits'}",
            hint=f"names as in {_CURATED}; ./invoke cloud.tempest {lab.name} --smoke",
        )
    # It ends with 1 where a test failed; anything else has not run all of them.
    if result.exit_code != int(any(not test.is_good for test in tests)):
        raise NotChecked(
            f"tempest ended with {result.exit_code} after {plural(len(tests), 'test')}: {words}",
            hint=f"its log: {workspace / 'tempest.log'}",
        )
    return tuple(tests)
