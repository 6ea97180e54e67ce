"""pytest against a running lab: `pytest --lab NAME`, and `--lab-checks` for the built-in checks as test items.

Every pytest of an environment that has stacklab installed loads this, so it imports nothing
of stacklab's until somebody says `--lab`, and has no fixtures until then.
"""

from __future__ import annotations

import itertools
import pickle
import shutil
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from ipaddress import IPv4Address

    from testinfra.host import Host

    from stacklab.checks.result import Check, CheckResult
    from stacklab.model.lab import Lab, Node
    from stacklab.paths import LabPaths
    from stacklab.process import Result
    from stacklab.workflow.context import Context

MARKER = "lab_check"
_EXEC_LIMIT_S = 120.0
_CHECKS_LIMIT_S = 3600.0  # how long one xdist worker waits for the checks that another one runs


class LabCheckWarning(pytest.PytestWarning):
    """A built-in check passed, with a warning."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LabNode:
    """A node of the running lab; `spec` is all that its lab declares of it."""

    lab: RunningLab
    spec: Node

    @property
    def name(self) -> str:
        """Its name, which is its host name too."""
        return self.spec.name

    @property
    def role(self) -> str:
        """What it is in its cloud: controller, compute or node."""
        return self.spec.role.value

    def address(self, network: str = "") -> IPv4Address:
        """Its address on a network; on the one that the host logs in by, if none is named."""
        nic = self.spec.nic_on(network) if network else self.spec.access
        if nic is None:
            known = ", ".join(each.network for each in self.spec.nics)
            _refuse(f"{self.name} is on no network {network!r} (it is on: {known})")
        return nic.address.ip

    def exec(self, command: str | Sequence[str], *, timeout_s: float = _EXEC_LIMIT_S) -> Result:
        """Run a command there as `stack`; any exit code is a result. A string is for the node's shell."""
        from stacklab.tools import ssh

        argv = (command,) if isinstance(command, str) else tuple(command)
        return self.lab.context.runner.run(
            ssh.exec_command(self.lab.paths, self.name, argv, timeout_s=timeout_s)
        )

    @property
    def hostspec(self) -> str:
        """It as testinfra wants it named. The lab's ssh_config shares connections itself, hence no controlpersist."""
        return f"ssh://{self.name}?ssh_config={urllib.parse.quote(str(self.lab.paths.ssh_config))}&controlpersist=0"

    @property
    def host(self) -> Host:
        """The node as a testinfra host: `node.host.service("ssh").is_running`."""
        try:
            import testinfra
        except ImportError:
            _refuse("node.host needs testinfra: pip install pytest-testinfra")
        return testinfra.get_host(self.hostspec)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<node {self.name} of lab {self.lab.name}>"  # a failed test shows its fixtures


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunningLab:
    """The lab under test; `spec` is what was brought up, `paths` its files on this host."""

    spec: Lab
    paths: LabPaths
    context: Context

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.spec.name

    @property
    def nodes(self) -> tuple[LabNode, ...]:
        """Its nodes, in the spec's order."""
        return tuple(LabNode(lab=self, spec=node) for node in self.spec.nodes)

    @property
    def node_pairs(self) -> tuple[tuple[LabNode, LabNode], ...]:
        """Every ordered pair of nodes."""
        return tuple(itertools.permutations(self.nodes, 2))

    def node(self, name: str) -> LabNode:
        """The node of that name."""
        found = next((node for node in self.nodes if node.name == name), None)
        if found is None:
            _refuse(
                f"lab {self.name} has no node {name!r} (it has: {', '.join(map(str, self.nodes))})"
            )
        return found

    def exec(
        self, node: str | LabNode, command: str | Sequence[str], *, timeout_s: float = _EXEC_LIMIT_S
    ) -> Result:
        """Run a command on a node as `stack`; see LabNode.exec."""
        return self.node(str(node)).exec(command, timeout_s=timeout_s)

    def __repr__(self) -> str:
        return f"<lab {self.name}>"


def _refuse(text: str) -> NoReturn:
    pytest.fail(text, pytrace=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options."""
    group = parser.getgroup("stacklab", "stacklab: tests against a running lab")
    group.addoption(
        "--lab",
        dest="stacklab_lab",
        metavar="NAME",
        help="the lab (of ./invoke lab.up NAME) to test",
    )
    group.addoption(
        "--lab-checks",
        dest="stacklab_checks",
        action="store_true",
        help=f"run stacklab's own checks of that lab too, one item per check (marker: {MARKER})",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Find the lab; nothing at all happens without `--lab`."""
    name = config.getoption("stacklab_lab")
    if not name:
        if config.getoption("stacklab_checks"):
            raise pytest.UsageError("--lab-checks: of which lab? --lab NAME --lab-checks")
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
        config.pluginmanager.register(Checks(config, running), "stacklab.checks")


def _context(config: pytest.Config) -> Context:
    from stacklab.paths import HostPaths
    from stacklab.process import SubprocessRunner
    from stacklab.progress import Progress
    from stacklab.workflow.context import Context

    runner = SubprocessRunner()
    config.add_cleanup(runner.stop_all)  # Ctrl-C does not reach what other threads run
    context = Context(host=HostPaths.default(), runner=runner, progress=Progress())
    config.add_cleanup(context.close)
    return context


def _running(context: Context, name: str) -> RunningLab:
    """The lab, if it is up; raises LabError if nothing of it runs. One node that is off is a test's matter."""
    from stacklab.errors import LabError, ProviderError
    from stacklab.model.state import NodeState
    from stacklab.providers import registry
    from stacklab.workflow.context import running_lab

    lab, paths = running_lab(context, name)
    kept = registry.read(paths)
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
    """The fixtures, made for this lab: a team's own of the same names hide them, as with any plug-in's."""
    pairs = running.node_pairs
    # `:` is in no node's name and nothing to a shell: two nodes, `a-b` and `c`, stay two.
    names = [f"{one}:{other}" for one, other in pairs]

    @pytest.fixture(scope="session")
    def lab() -> RunningLab:
        """The running lab: its spec, its paths, its nodes, exec."""
        return running

    @pytest.fixture(scope="session", params=running.nodes, ids=str)
    def node(request: pytest.FixtureRequest) -> LabNode:
        """Each node of the lab in turn; `node.host` is its testinfra host."""
        found: LabNode = request.param
        return found

    @pytest.fixture(scope="session", params=pairs, ids=names)
    def node_pair(request: pytest.FixtureRequest) -> tuple[LabNode, LabNode]:
        """Each ordered pair of the lab's nodes in turn."""
        found: tuple[LabNode, LabNode] = request.param
        return found

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
        """Give testinfra's own fixture `host` the lab's nodes: without hosts it would test this machine."""
        is_wanted = (
            "_testinfra_host" in metafunc.fixturenames
            and metafunc.config.getoption("hosts", None) is None
        )
        if is_wanted and not hasattr(metafunc.module, "testinfra_hosts"):
            metafunc.module.testinfra_hosts = [each.hostspec for each in running.nodes]

    # A module, not a class: pytest 10 wants fixtures of this scope to be no methods.
    made = ModuleType("stacklab.fixtures")
    vars(made).update(
        lab=lab, node=node, node_pair=node_pair, pytest_generate_tests=pytest_generate_tests
    )
    return made


class Checks:
    """The built-in checks as items, all of them proved in one run: one session per node, whoever asks first."""

    def __init__(self, config: pytest.Config, running: RunningLab) -> None:
        self._running = running
        self._found: tuple[Mapping[Check, CheckResult], str] | None = None
        # Workers of xdist share a directory of their controller's: the first one writes what all read.
        shared = getattr(config, "workerinput", {}).get("stacklab_shared")
        self._shared = Path(shared or tempfile.mkdtemp(prefix="stacklab-pytest-"))
        if not shared:
            config.add_cleanup(lambda: shutil.rmtree(self._shared, ignore_errors=True))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: object) -> None:
        """Tell a worker of xdist where the results lie."""
        node.workerinput["stacklab_shared"] = str(self._shared)  # type: ignore[attr-defined]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Put the checks before the team's tests, so that `-k` and `-m` choose among all."""
        from stacklab.checks import plan

        by_kind: dict[str, list[Check]] = {}
        for check in plan.expected(self._running.spec):
            by_kind.setdefault(check.kind.value, []).append(check)
        found: list[pytest.Item] = []
        for kind, checks in by_kind.items():
            collector = LabChecks.from_parent(
                session,
                name=kind,
                nodeid=f"{self._running.name}::{kind}",
                path=self._running.spec.source,
                checks=self,
                own=checks,
            )
            report = collector.ihook.pytest_make_collect_report(collector=collector)
            collector.ihook.pytest_collectreport(
                report=report
            )  # else "collected N items" leaves them out
            found += report.result
        items[:0] = found

    def result(self, session: pytest.Session, check: Check) -> CheckResult | None:
        """What came of a check; the first to ask has them all proved. Fails the test where none could be."""
        if self._found is None:
            self._found = self._load_or_prove(session)
        results, why = self._found
        return results.get(check) or (_refuse(why) if why else None)

    def _load_or_prove(self, session: pytest.Session) -> tuple[Mapping[Check, CheckResult], str]:
        from stacklab import locks

        kept = self._shared / "results"
        with locks.held(
            self._shared / "lock", "the checks of this test run", wait_s=_CHECKS_LIMIT_S
        ):
            if kept.exists():
                found: tuple[Mapping[Check, CheckResult], str] = pickle.loads(
                    kept.read_bytes()
                )  # our own, in 0700
                return found
            found = self._prove(session)
            kept.write_bytes(pickle.dumps(found))
            return found

    def _prove(self, session: pytest.Session) -> tuple[Mapping[Check, CheckResult], str]:
        """Prove what is selected, and no other layer."""
        from stacklab.checks.result import Selection
        from stacklab.errors import LabError
        from stacklab.workflow.check import checking

        layers = frozenset(
            item.check.kind.layer for item in session.items if isinstance(item, LabCheck)
        )
        try:
            lab = self._running
            results = checking.check(
                lab.context, lab.spec, lab.paths, selection=Selection(layers=layers)
            )
        except LabError as error:
            return {}, str(error)
        return {result.check: result for result in results}, ""


class LabChecks(pytest.Collector):
    """The checks of one kind."""

    def __init__(self, *, checks: Checks, own: Sequence[Check], **rest: object) -> None:
        super().__init__(**rest)  # type: ignore[arg-type]
        self._checks = checks
        self._own = own

    def collect(self) -> Iterator[pytest.Item]:
        """See pytest.Collector.collect."""
        for check in self._own:
            yield LabCheck.from_parent(self, name=check.title, checks=self._checks, check=check)


def _told(found: CheckResult) -> str:
    """A check that did not pass, as lab.check tells it."""
    command = f"$ {found.command}" if found.command else ""
    parts = (
        f"{found.check.title}: {found.detail}",
        command,
        found.output.rstrip(),
        found.evidence.rstrip(),
    )
    return "\n".join(filter(None, parts))


class LabCheck(pytest.Item):
    """One check; what failed is a failure, what had no answer is an error, a warning is pytest's."""

    def __init__(self, *, checks: Checks, check: Check, **rest: object) -> None:
        super().__init__(**rest)  # type: ignore[arg-type]
        self._checks = checks
        self.check = check
        self.extra_keyword_matches.add(check.kind.layer.value)
        self.add_marker(MARKER)

    def setup(self) -> None:
        """Have the checks proved, and raise here what has no answer: pytest calls that an error, not a failure."""
        from stacklab.checks.result import CheckStatus

        found = self._checks.result(self.session, self.check)
        if found is None:
            _refuse(f"{self.check.title}: was not tried")
        if found.status is CheckStatus.ERROR:
            _refuse(_told(found))
        if found.status is CheckStatus.WARNED:
            self.warn(LabCheckWarning(f"{self.check.title}: {found.detail}"))

    def runtest(self) -> None:
        """See pytest.Item.runtest."""
        found = self._checks.result(self.session, self.check)
        assert found is not None  # setup has seen to that
        if not found.is_passed:
            _refuse(_told(found))

    def reportinfo(self) -> tuple[Path, int, str]:
        """See pytest.Item.reportinfo: the lab's file stands for the place."""
        return self.path, 0, self.name
