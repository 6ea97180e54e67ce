"""Run pytest against a lab that is up: `pytest --lab NAME`.

`--lab-checks` adds the built-in checks as test items. Every pytest of an environment in which
stacklab is installed loads this module. So it imports nothing else of stacklab, and offers no
fixture, until `--lab` is given.
"""

from __future__ import annotations

import itertools
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from ipaddress import IPv4Address

    from testinfra.host import Host

    from stacklab.model.lab import Lab, Node
    from stacklab.paths import LabPaths
    from stacklab.process import Result
    from stacklab.workflow.context import Context

MARKER = "lab_check"
_EXEC_LIMIT_S = 120.0


class LabCheckWarning(pytest.PytestWarning):
    """Warns that a built-in check passed only with a warning."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LabNode:
    """A node of the running lab; `spec` is the node as its lab declares it."""

    lab: RunningLab
    spec: Node

    @property
    def name(self) -> str:
        """The node's name, which is its host name as well."""
        return self.spec.name

    @property
    def role(self) -> str:
        """The node's part in the cloud: controller, compute or node."""
        return self.spec.role.value

    def address(self, network: str = "") -> IPv4Address:
        """Return the node's address on a network, by default on the one that the host logs in by.

        Fails the test if the node is not on that network.
        """
        nic = self.spec.nic_on(network) if network else self.spec.access
        if nic is None:
            known = ", ".join(nic.network for nic in self.spec.nics)
            fail(f"{self.name} is not on network {network!r} (it is on: {known})")
        return nic.address.ip

    def exec(self, command: str | Sequence[str], *, timeout_s: float = _EXEC_LIMIT_S) -> Result:
        """Run a command on the node as `stack`; a string is run by the node's shell.

        Any exit code is a result; raises CommandTimedOut after `timeout_s`.
        """
        from stacklab.tools import ssh

        argv = (command,) if isinstance(command, str) else tuple(command)
        return self.lab.context.runner.run(
            ssh.exec_command(self.lab.paths, self.name, argv, timeout_s=timeout_s)
        )

    @property
    def hostspec(self) -> str:
        """The node's name in testinfra's form."""
        ssh_config = urllib.parse.quote(str(self.lab.paths.ssh_config))
        # The lab's ssh_config shares connections by itself: testinfra must not do it again.
        return f"ssh://{self.name}?ssh_config={ssh_config}&controlpersist=0"

    @property
    def host(self) -> Host:
        """The node as a testinfra host: `node.host.service("ssh").is_running`."""
        try:
            import testinfra
        except ImportError:
            fail("node.host needs testinfra: pip install pytest-testinfra")
        return testinfra.get_host(self.hostspec)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        # A failed test prints its fixtures: keep that to one line.
        return f"<node {self.name} of lab {self.lab.name}>"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunningLab:
    """The lab under test: `spec` is the lab as it was brought up, `paths` are its files here."""

    spec: Lab
    paths: LabPaths
    context: Context

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.spec.name

    @property
    def nodes(self) -> tuple[LabNode, ...]:
        """The nodes, in the spec's order."""
        return tuple(LabNode(lab=self, spec=node) for node in self.spec.nodes)

    @property
    def node_pairs(self) -> tuple[tuple[LabNode, LabNode], ...]:
        """Every ordered pair of nodes."""
        return tuple(itertools.permutations(self.nodes, 2))

    def node(self, name: str) -> LabNode:
        """Return the node of that name; fails the test if there is none."""
        by_name = {node.name: node for node in self.nodes}
        if name not in by_name:
            fail(f"there is no node {name!r} in lab {self.name} (its nodes: {', '.join(by_name)})")
        return by_name[name]

    def exec(
        self, node: str | LabNode, command: str | Sequence[str], *, timeout_s: float = _EXEC_LIMIT_S
    ) -> Result:
        """Run a command on a node as `stack`; see LabNode.exec."""
        return self.node(str(node)).exec(command, timeout_s=timeout_s)

    def __repr__(self) -> str:
        return f"<lab {self.name}>"


def fail(text: str) -> NoReturn:
    """Fail the current test; pytest counts it as an error if it is still being set up."""
    pytest.fail(text, pytrace=False)


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

    config.addinivalue_line(
        "markers", f"{MARKER}: one of stacklab's own checks of the lab (--lab-checks)"
    )
    try:
        running = _running(_context(config), name)
    except LabError as error:
        raise pytest.UsageError(str(error).replace("\n  next: ", "; next: ")) from error
    config.pluginmanager.register(_fixtures(running), "stacklab.fixtures")
    if config.getoption("stacklab_checks"):
        from stacklab.pytest_items import Checks

        config.pluginmanager.register(Checks(config, running), "stacklab.checks")


def _context(config: pytest.Config) -> Context:
    from stacklab.paths import HostPaths
    from stacklab.process import SubprocessRunner
    from stacklab.progress import Progress
    from stacklab.workflow.context import Context

    runner = SubprocessRunner()
    config.add_cleanup(runner.stop_all)  # Ctrl-C does not reach commands of other threads
    return Context(host=HostPaths.default(), runner=runner, progress=Progress())


def _running(context: Context, name: str) -> RunningLab:
    """The lab, if it is up; raises LabError if nothing of it runs. One node that is off is a test's matter."""
    from stacklab import record
    from stacklab.errors import LabError, ProviderError
    from stacklab.model.state import NodeState
    from stacklab.workflow.context import running_lab

    lab, paths = running_lab(context, name)
    kept = record.read(paths)
    try:
        states = context.states(kept) if kept else {}
    except ProviderError:
        states = {}  # ssh may well answer
    if states and NodeState.RUNNING not in states.values():
        raise LabError(
            f"lab {name} is not up: none of its nodes runs", hint=f"./invoke lab.up {name}"
        )
    return RunningLab(spec=lab, paths=paths, context=context)


def _fixtures(running: RunningLab) -> object:
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
