"""Live tests: a real image, real nodes, in a home of their own that is removed at the end.

They use the shipped labs under their own names, so they refuse to start on a host
where those are up: what a person runs is never touched.

A test runs with nodes that are containers, or with VMs, or with both, one after the other: its mark
`kinds` says so, and without one it runs with containers. These are there in seconds; emulated VMs
take minutes, and are for what is about VMs, and for the main job. `pytest -m live --kinds vms,containers
tests/live` runs every test that can with both.

Tests share labs. A test asks for the state that it needs: `lab` (contrail-3node is up and healthy),
`mini_absent` (nothing of mini-2node exists), `wan`. It leaves that state as it found it or says in its
name what it did, and after a test that failed the lab is brought back. A test of VMs is run once more
if it failed while the kernel of an emulated node hung (hung_kernels.py). Files run in the order of FILES,
which puts tests of one lab together: first with containers, then with VMs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stacklab import spec
from stacklab.checks import plan
from stacklab.checks.result import Layer
from stacklab.model.lab import NodeKind
from stacklab.paths import PROJECT, HostPaths
from stacklab.providers import registry
from stacklab.providers.containers.handles import Container, container_of, is_container
from stacklab.tools.host import cgroups
from tests.live.hung_kernels import Consoles

HOME = Path("/var/lib/stacklab-live-tests")
LAB = "contrail-3node"
NODES = ("controller", "compute1", "compute2")
MINI = "mini-2node"
WAN = "wan-2node"
CLOUD = "openstack-3node"
LABS = (LAB, MINI, WAN, CLOUD)
# A host that reaches no git server gets a warning for that; the lab itself has passed.
PASSED = (0, 7)
# contrail-3node is destroyed at the end of its last file: an idle emulated node costs CPU time, too.
FILES = (
    "test_check_whole.py",
    "test_check_broken.py",
    "test_contrail_3node.py",
    "test_containers.py",
    "test_mini_2node.py",
    "test_units.py",
    "test_stack.py",
    "test_openstack.py",
    "test_ci_recipes.py",
    "test_wan_2node.py",
)
# What a second checkout of the project does without.
NOT_COPIED = (".git", ".venv", ".consumers", "reports", "__pycache__")
# The names of all containers that were ever on record, to see that nothing of them is left.
MACHINES: set[str] = set()
HAS_FAILED = pytest.StashKey[bool]()
CONSOLES = Consoles(HOME)
CONTAINERS = "containers"
VMS = "vms"
# How long a lab may take to recover after a test has mended it: busy emulated nodes are slow.
MENDED_S = "90"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kinds",
        default="",
        help="run tests with these kinds of nodes as well, where they can: vms,containers",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "kinds(*kinds, only=False): what its nodes are; only: it can't run with others"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each kind of nodes that it is for."""
    if "kind" not in metafunc.fixturenames:
        return
    mark = metafunc.definition.get_closest_marker("kinds")
    kinds = list(mark.args) if mark else [CONTAINERS]
    if mark is None or not mark.kwargs.get("only", False):
        asked = metafunc.config.getoption("--kinds", default="").split(",")
        kinds += [kind for kind in (CONTAINERS, VMS) if kind in asked and kind not in kinds]
    metafunc.parametrize("kind", kinds, indirect=True, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group tests by their nodes' kind, then by the lab that they share; a file's order stays."""
    places = {Path(__file__).with_name(name): at for at, name in enumerate(FILES)}

    def place(item: pytest.Item) -> tuple[bool, int]:
        callspec = getattr(item, "callspec", None)
        kind = callspec.params.get("kind") if callspec else None
        return kind != CONTAINERS, places.get(item.path, -1)

    items.sort(key=place)
    for item in items:
        # A test on containers runs once: no emulated CPU can be blamed for its failure.
        is_on_containers = not place(item)[0]
        if item.path in places and not is_on_containers:
            item.add_marker(pytest.mark.flaky(reruns=1, condition=CONSOLES.tell_of_a_hang))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Forget the failure and the hung kernels of what ran before."""
    item.stash[HAS_FAILED] = False
    CONSOLES.begin()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note for the fixtures whether the test failed."""
    report = yield
    if report.failed:
        item.stash[HAS_FAILED] = True
    return report


def as_kind(kind: str) -> tuple[str, ...]:
    """Return the words of lab.up that give a lab nodes of that kind."""
    return () if kind == VMS else ("--as", CONTAINERS)


def count(lab: str, kind: str, layer: Layer | None = None) -> int:
    """Return how many checks a shipped lab's spec promises of nodes of that kind."""
    declared = spec.load(PROJECT / "labs" / f"{lab}.yaml")
    if kind == CONTAINERS:
        declared = declared.all_as(NodeKind.CONTAINER)
    return sum(layer in (None, check.kind.layer) for check in plan.expected(declared))


def all_passed(lab: str, kind: str, layer: Layer | None = None) -> str:
    """Return how a run says that all of a lab's checks, or all of a layer, have passed."""
    total = count(lab, kind, layer)
    return f"{total} of {total} {'checks ' if layer is None else ''}passed"


@dataclass
class Run:
    """What a command left behind."""

    code: int
    out: str
    err: str
    elapsed_s: float


@dataclass
class Stacklab:
    """Types `./invoke ...` as a person would, each time in a new process."""

    checkout: Path = PROJECT
    environment: dict[str, str] = field(
        default_factory=lambda: {**os.environ, "STACKLAB_HOME": str(HOME)}
    )

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command and return at once."""
        # A shell starts background jobs with SIGINT ignored, and that is inherited by all below.
        return subprocess.Popen(
            (
                "env",
                "--default-signal=INT",
                sys.executable,
                "-m",
                "invoke",
                "--search-root",
                self.checkout,
                *words,
            ),
            cwd=self.checkout,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> Run:
        """Run a command to its end, whatever its exit code."""
        # Before it may destroy them.
        MACHINES.update(recorded_machines())
        started = time.monotonic()
        return self.end_of(self.start(*words), words, started)

    def end_of(self, process: subprocess.Popen[str], words: Sequence[str], started: float) -> Run:
        """Wait for a command that was started."""
        try:
            out, err = process.communicate(timeout=1800)
        except BaseException:
            process.kill()
            raise
        elapsed = time.monotonic() - started
        CONSOLES.read(err)
        print(
            f"$ ./invoke {' '.join(words)}   -> {process.returncode} in {elapsed:.1f} s\n{err[-3000:]}{out[-3000:]}"
        )
        return Run(process.returncode, out, err, elapsed)

    def ok(self, *words: str) -> Run:
        """Run a command that has to succeed."""
        run = self.run(*words)
        assert run.code == 0, f"{words} ended with {run.code}: {run.err[-2000:]}"
        assert "Traceback" not in run.err
        return run

    def check(self, lab: str, *words: str) -> Run:
        """A lab.check that has to pass, be it with warnings."""
        run = self.run("lab.check", lab, *words)
        assert run.code in PASSED, (
            f"lab.check {lab} {words} ended with {run.code}: {run.out[-3000:]}{run.err[-2000:]}"
        )
        assert "Traceback" not in run.err
        return run

    def states(self, lab: str) -> dict[str, str]:
        """What `lab.status --json` says of each node."""
        (found,) = json.loads(self.ok("lab.status", lab, "--json").out)
        return {node["name"]: node["state"] for node in found["nodes"]}

    def on(self, lab: str, node: str, command: str) -> str:
        """Run a command on a node over the lab's own ssh_config; stderr included."""
        argv = ("ssh", "-F", str(HOME / "labs" / lab / "ssh_config"), node, command)
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout

    def close_connections(self, lab: str, nodes: Sequence[str]) -> None:
        """End the shared connections: the next login is a new one. There being none is fine."""
        for node in nodes:
            argv = ("ssh", "-F", str(HOME / "labs" / lab / "ssh_config"), "-O", "exit", node)
            subprocess.run(argv, capture_output=True, check=False, timeout=20)


def flat(text: str) -> str:
    """Return what was printed without its line breaks and indents."""
    return " ".join(text.split())


def virsh(*words: str) -> list[str]:
    """The names that a virsh list prints."""
    argv = ("virsh", "-c", "qemu:///system", *words, "--name")
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def processes(needle: str) -> list[str]:
    """Command lines of processes that mention a string."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if needle in line and entry.parent.name != str(os.getpid()):
            found.append(line[:200])
    return found


def left_of(lab: str) -> list[str]:
    """Everything of a lab that can still be seen on this host."""
    left = [f"domain {name}" for name in virsh("list", "--all") if name.startswith(f"{lab}_")]
    left += [f"network {name}" for name in virsh("net-list", "--all") if name.startswith(f"{lab}_")]
    left += left_of_containers()
    left += [f"volume {path}" for path in (HOME / "volumes").glob(f"{lab}_*")]
    left += [f"directory {path}" for path in (HOME / "labs").glob(lab)]
    left += [
        f"process {line}" for line in processes(f"{HOME}/labs/{lab}/") + processes(f"guest={lab}_")
    ]
    left += [f"lock {path}" for path in (HOME / "locks").glob(f"lab.{lab}.lock")]
    index = (
        Path(os.environ.get("VAGRANT_HOME", Path.home() / ".vagrant.d"))
        / "data"
        / "machine-index"
        / "index"
    )
    if index.is_file() and f"{HOME}/labs/{lab}" in index.read_text():
        left.append(f"vagrant's index {index}")
    return left


def recorded_machines() -> set[str]:
    """The names of all containers that labs of ours have on record."""
    machines = set()
    for lab in HostPaths(HOME).recorded_labs():
        record = registry.read(HostPaths(HOME).lab(lab))
        if record is not None:
            machines |= {node.handle["machine"] for node in record.nodes if is_container(node)}
    return machines


def left_of_containers() -> list[str]:
    """Cgroups and interfaces of containers of ours that no lab has on record any more."""
    gone = MACHINES - recorded_machines()
    found = [path for path in Path("/sys/fs/cgroup").glob("**/stacklab/*") if path.is_dir()]
    found += Path("/sys/class/net").glob("sl*")
    return [str(path) for path in found if path.name.partition("-")[0] in gone]


def bridges() -> Sequence[str]:
    """The bridges that stacklab names."""
    return [path.name for path in Path("/sys/class/net").glob("sl-*")]


def remove_home(stacklab: Stacklab, home: Path) -> None:
    """Destroy the labs of a home, then remove it; fail and keep it if a lab is still there.

    The home holds what `lab.destroy` needs: VMs that outlive it can only be removed by hand.
    """
    if not home.exists():
        return
    refused = {}
    # A test's own lab, too, if its run was killed.
    for lab in dict.fromkeys((*LABS, *HostPaths(home).recorded_labs())):
        run = stacklab.run("lab.destroy", lab)
        if run.code != 0:
            refused[lab] = run.err[-2000:]
    assert not refused, f"{home} is kept, because these labs could not be destroyed: {refused}"
    shutil.rmtree(home)


def container(lab: str, node: str) -> Container:
    """The container of a node, from the lab's record."""
    paths = HostPaths(HOME).lab(lab)
    record = registry.read(paths)
    assert record is not None
    recorded = record.node(node)
    assert recorded is not None
    return container_of(paths, recorded)


def cgroup(lab: str, node: str) -> Path:
    """The cgroup of a node that is a container."""
    mounted = cgroups.root()
    assert mounted is not None
    return cgroups.group_of(container(lab, node).machine, mounted)


def first_process(lab: str, node: str) -> int:
    """The number that this host has for a container's PID 1."""
    found = (cgroup(lab, node) / "run/payload/init.scope/cgroup.procs").read_text().split()
    return int(found[0])


@pytest.fixture(scope="session")
def kind(request: pytest.FixtureRequest) -> str:
    """What the nodes are: see pytest_generate_tests."""
    value: str = request.param
    return value


@pytest.fixture(scope="session")
def stacklab() -> Iterator[Stacklab]:
    typed = Stacklab()
    typed.run("doctor")  # starts nothing, but says what this host is
    remove_home(typed, HOME)  # of a run that was killed
    probe = subprocess.run(
        ("virsh", "-c", "qemu:///system", "list", "--all", "--name"), capture_output=True, text=True
    )
    taken = [name for name in probe.stdout.split() if name.split("_")[0] in LABS]
    assert not taken, (
        f"these are up on this host, and are not ours to touch: {taken}; ./invoke lab.destroy them first"
    )
    yield typed
    remove_home(typed, HOME)


@pytest.fixture(scope="session")
def image(stacklab: Stacklab) -> Path:
    run = stacklab.ok("image.build", "debian-12")
    print(f"image.build took {run.elapsed_s:.0f} s")
    (path,) = (HOME / "images").glob("debian-12-*.qcow2")
    return path


@pytest.fixture(scope="session")
def first_up(stacklab: Stacklab, image: Path, kind: str) -> Iterator[Run]:
    """Bring contrail-3node up, once for all files."""
    assert image.is_file()
    yield stacklab.ok("lab.up", LAB, *as_kind(kind))
    stacklab.ok("lab.destroy", LAB)  # if its last file did not: a test of it was not run, or failed


@pytest.fixture
def lab(
    stacklab: Stacklab, first_up: Run, kind: str, request: pytest.FixtureRequest
) -> Iterator[Run]:
    """Hand out contrail-3node, up and healthy; it is mended after a test that failed."""
    yield first_up
    if request.node.stash.get(HAS_FAILED, False):
        print(f"mending {LAB} after a test that failed")
        stacklab.run("lab.up", LAB, *as_kind(kind))


@pytest.fixture
def mini_absent(stacklab: Stacklab, image: Path, kind: str) -> str:
    """Destroy mini-2node if an earlier test left it up, and return its name."""
    assert image.is_file()
    only_a_lock = [f"lock {HOME}/locks/lab.{MINI}.lock"]  # of a lab.up that was refused
    if left_of(MINI) not in ([], only_a_lock):
        stacklab.ok("lab.destroy", MINI)
        assert_gone(MINI)
    return MINI


def assert_gone(lab: str, limit_s: float = 10) -> None:
    """Fail unless nothing of a lab is left soon: a killed command's children need a moment to end."""
    deadline = time.monotonic() + limit_s
    while left_of(lab) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert left_of(lab) == []
