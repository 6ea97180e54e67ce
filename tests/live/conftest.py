"""Live tests: a real image, real nodes, in a home of their own that is removed at the end.

Base images that this host has, built from the same inputs, are taken over: building them takes
ten minutes. With STACKLAB_LIVE_BUILDS=1 they are built in any case.

They use the shipped labs under their own names, so they refuse to start on a host
where those are, up or off: what a person made is never touched.

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

import contextlib
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from stacklab import files
from stacklab.images import catalogue, store
from stacklab.paths import HostPaths
from tests.live import own_libvirtd
from tests.live.labs import CLOUD, CONTAINERS, HOME, LAB, LABS, MINI, VMS, as_kind
from tests.live.own_libvirtd import OwnLibvirtd
from tests.live.remains import assert_gone, left_of, virsh
from tests.live.typed import CONSOLES, Run, Stacklab, remove_home

# contrail-3node is destroyed at the end of its last file: an idle emulated node costs CPU time, too.
FILES = (
    "test_check_whole.py",
    "test_check_broken.py",
    "test_snapshots.py",
    "test_bundles.py",
    "test_contrail_3node.py",
    "test_containers.py",
    "test_host_closed.py",
    "test_container_snapshots.py",
    "test_pristine.py",
    "test_mini_2node.py",
    "test_killed_at_each_step.py",
    "test_reconcile.py",
    "test_units.py",
    "test_stack.py",
    "test_stack_kits.py",
    "test_openstack.py",
    "test_trace.py",
    "test_source.py",
    "test_debug.py",
    "test_openstack_linuxbridge.py",
    "test_ci_recipes.py",
    "test_wan_2node.py",
)
HAS_FAILED = pytest.StashKey[bool]()


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
        is_live = item.path.parent == Path(__file__).parent
        assert not is_live or item.path in places, f"{item.path.name} is not in FILES"
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


@pytest.fixture(scope="session")
def kind(request: pytest.FixtureRequest) -> str:
    """What the nodes are: see pytest_generate_tests."""
    value: str = request.param
    return value


@pytest.fixture
def our_libvirtd() -> Iterator[OwnLibvirtd]:
    """The libvirtd that a test may end; it is there again in the end."""
    ours = own_libvirtd.find()
    if ours is None:
        pytest.skip("this host's libvirtd is its own, or another user's: it is not ours to end")
    yield ours
    own_libvirtd.ensure()


@pytest.fixture(scope="session")
def stacklab() -> Iterator[Stacklab]:
    typed = Stacklab()
    typed.run("doctor")  # starts nothing, but says what this host is
    remove_home(typed, HOME)  # of a run that was killed
    # What is defined is known even after a reboot of the host, but only by a libvirtd that runs.
    own_libvirtd.ensure()
    taken = [
        name
        for name in virsh("list", "--all") + virsh("net-list", "--all")
        if name.split("_")[0] in LABS
    ]
    assert not taken, (
        f"these are on this host, and are not ours to touch: {taken}; ./invoke lab.destroy them first"
    )
    if not os.environ.get("STACKLAB_LIVE_BUILDS"):
        borrow_images(HostPaths.default(), HostPaths(HOME))
    # Tests of cold starts would come back in seconds; those of snapshots say otherwise.
    files.make_directory(HOME)
    HostPaths(HOME).settings.write_text("cache: 0\n")
    yield typed
    remove_home(typed, HOME)


def borrow_images(theirs: HostPaths, ours: HostPaths) -> None:
    """Link the images of another home that today's inputs would give; they are never written to."""
    files.make_directory(ours.images)
    for image in catalogue.load().values():
        stored = store.find(theirs, image)
        if stored is None:
            continue
        paths = theirs.images.glob(f"{stored.key}.*")
        # Another file system takes no links: then the image is built. The manifest is the last,
        # as it makes the rest an image.
        with contextlib.suppress(OSError):
            for path in sorted(paths, key=lambda path: path.suffix == ".json"):
                os.link(path, ours.images / path.name)


@pytest.fixture(scope="session")
def image(stacklab: Stacklab) -> Path:
    run = stacklab.ok("image.build", "debian-12")
    print(f"image.build took {run.elapsed_s:.0f} s")
    stored = store.find(HostPaths(HOME), catalogue.get(catalogue.load(), "debian-12"))
    assert stored is not None
    return stored.path


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


@pytest.fixture(scope="session")
def cloud(stacklab: Stacklab, kind: str) -> Iterator[Run]:
    """Bring openstack-3node up, once for all files: it takes minutes."""
    built = stacklab.ok("image.build", "debian-12-openstack")
    print(f"image.build debian-12-openstack took {built.elapsed_s:.0f} s")
    up = stacklab.ok("lab.up", CLOUD, *as_kind(kind))
    print(f"lab.up {CLOUD} took {up.elapsed_s:.0f} s")
    yield up
    stacklab.ok("lab.destroy", CLOUD)
    assert_gone(CLOUD)


@pytest.fixture
def mini_absent(stacklab: Stacklab, image: Path, kind: str) -> str:
    """Destroy mini-2node if an earlier test left it up, and return its name."""
    assert image.is_file()
    only_a_lock = [f"lock {HOME}/locks/lab.{MINI}.lock"]  # of a lab.up that was refused
    if left_of(MINI) not in ([], only_a_lock):
        stacklab.ok("lab.destroy", MINI)
        assert_gone(MINI)
    return MINI
