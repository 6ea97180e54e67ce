"""Run pytest against a lab that is up: `pytest --lab NAME`.

`--lab-checks` adds the built-in checks as test items. Every pytest of an environment in which
stacklab is installed loads this module. So it imports nothing else of stacklab, and offers no
fixture, until `--lab` is given.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stacklab.pytest_plugin.lab import LabNode, RunningLab
    from stacklab.workflow.context import Context

MARKER = "lab_check"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--lab` and `--lab-checks`."""
    group = parser.getgroup("stacklab", "stacklab: tests against a running lab")
    group.addoption(
        "--lab",
        dest="stacklab_lab",
        metavar="NAME",
        help="test this lab, which ./invoke lab.up NAME has brought up",
    )
    group.addoption(
        "--lab-checks",
        dest="stacklab_checks",
        action="store_true",
        help=f"run stacklab's own checks of the lab as well, one item per check (marker: {MARKER})",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Find the lab and register its fixtures; do nothing without `--lab`."""
    name = config.getoption("stacklab_lab")
    if not name:
        if config.getoption("stacklab_checks"):
            raise pytest.UsageError("--lab-checks needs a lab: --lab NAME --lab-checks")
        return
    from stacklab.errors import LabError
    from stacklab.typed import as_typed

    config.addinivalue_line(
        "markers", f"{MARKER}: one of stacklab's own checks of the lab (--lab-checks)"
    )
    try:
        running = _find_running(_make_context(config), name)
    except LabError as error:
        message = as_typed(str(error)).replace("\n  next: ", "; next: ")
        raise pytest.UsageError(message) from error
    config.pluginmanager.register(_make_fixtures(running), "stacklab.fixtures")
    if config.getoption("stacklab_checks"):
        from stacklab.pytest_plugin.items import Checks

        config.pluginmanager.register(Checks(config, running, MARKER), "stacklab.checks")


def _make_context(config: pytest.Config) -> Context:
    from stacklab.cli.framework.session import finish_snapshot
    from stacklab.paths import HostPaths
    from stacklab.process.runner import SubprocessRunner
    from stacklab.progress import Progress
    from stacklab.workflow.context import Context

    runner = SubprocessRunner()
    config.add_cleanup(runner.stop_all)  # Ctrl-C does not reach commands of other threads
    context = Context(
        host=HostPaths.default(),
        runner=runner,
        progress=Progress(),
        finish_snapshot=finish_snapshot,
    )
    config.add_cleanup(context.close)
    return context


def _find_running(context: Context, name: str) -> RunningLab:
    """Return the lab; raises LabError if none of its nodes runs. One that is off is for a test."""
    from stacklab.errors import LabError, ProviderError
    from stacklab.model.state import NodeState
    from stacklab.providers import registry
    from stacklab.pytest_plugin.lab import RunningLab
    from stacklab.workflow.context import running_lab

    lab, paths = running_lab(context, name)
    record = registry.read(paths)
    try:
        states = context.states(record) if record else {}
    except ProviderError:
        states = {}  # ssh may well answer
    # One of which nobody can tell may run.
    all_states = [states.get(node.name, NodeState.RUNNING) for node in lab.nodes]
    if NodeState.RUNNING not in all_states:
        raise LabError(
            f"lab {name} is not up: none of its nodes runs", hint=f"./invoke lab.up {name}"
        )
    return RunningLab(spec=lab, paths=paths, context=context)


def _make_fixtures(running: RunningLab) -> object:
    """Return the fixtures for this lab; a test suite's own fixtures of the same names win."""
    pairs = running.node_pairs
    # `:` can't be part of a node's name and means nothing to a shell, so the ids stay unambiguous.
    pair_ids = [f"{one}:{other}" for one, other in pairs]

    @pytest.fixture(scope="session")
    def lab() -> RunningLab:
        """Return the running lab: its spec, its paths, its nodes, exec."""
        return running

    @pytest.fixture(scope="session", params=running.nodes, ids=str)
    def node(request: pytest.FixtureRequest) -> LabNode:
        """Return each node of the lab in turn; `node.host` is its testinfra host."""
        lab_node: LabNode = request.param
        return lab_node

    @pytest.fixture(scope="session", params=pairs, ids=pair_ids)
    def node_pair(request: pytest.FixtureRequest) -> tuple[LabNode, LabNode]:
        """Return each ordered pair of the lab's nodes in turn."""
        pair: tuple[LabNode, LabNode] = request.param
        return pair

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
        """Give testinfra's fixture `host` the lab's nodes: by default it tests this machine."""
        if "_testinfra_host" not in metafunc.fixturenames:
            return
        hosts_are_chosen = metafunc.config.getoption("hosts", None) is not None
        if not hosts_are_chosen and not hasattr(metafunc.module, "testinfra_hosts"):
            metafunc.module.testinfra_hosts = [node.hostspec for node in running.nodes]

    # A module, not a class: pytest 10 refuses methods as fixtures of session scope.
    fixtures = ModuleType("stacklab.fixtures")
    vars(fixtures).update(
        lab=lab, node=node, node_pair=node_pair, pytest_generate_tests=pytest_generate_tests
    )
    return fixtures
