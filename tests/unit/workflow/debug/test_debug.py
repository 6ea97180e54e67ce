"""Services under a debugger: what nodes say of them, who calls them, and what an IDE is given."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from stacklab import spec
from stacklab.errors import LabError
from stacklab.model.state import NodeState
from stacklab.paths import HostPaths
from stacklab.paths.project import LABS
from stacklab.process.runner import SubprocessRunner
from stacklab.progress import Progress
from stacklab.tools.host import listening
from stacklab.workflow.debug import (
    attaching,
    breaking,
    code,
    ide,
    node_program,
    patience,
    services,
)
from stacklab.workflow.debug.debuggers import (
    DEBUGPY,
    PYCHARM,
    PYDEV,
    DebuggerKind,
    debugger_named,
    files_of,
)
from stacklab.workflow.debug.service import (
    DebugProcess,
    DebugService,
    prefix_of_units,
    service_prefix,
)
from tests.unit.workflow.fake_host import FakeHost

LAB = spec.load(LABS / "openstack-3node.yaml")
NOVA = "/usr/lib/python3/dist-packages/nova"


def service(name: str, node: str = "controller", **more: str) -> DebugService:
    return DebugService(
        node=node,
        name=name,
        unit=f"stacklab-{name}.service",
        kind="python",
        state="active",
        is_hooked=False,
        is_calmed=False,
        is_detailed=False,
        debugger="",
        processes=(),
        **more,
    )


ALL = (
    *(
        service(name)
        for name in ("keystone", "nova-api", "nova-conductor", "neutron-server", "cinder")
    ),
    service("nova-compute", "compute1"),
    service("nova-compute", "compute2"),
)


@pytest.mark.parametrize(
    ("name", "callers"),
    [
        ("keystone", ()),
        ("nova-api", ("nova-conductor", "nova-compute", "nova-compute")),
        ("neutron-server", ("nova-compute", "nova-compute")),
        ("cinder", ()),
    ],
)
def test_those_wait_that_would_give_a_service_up(name: str, callers: tuple[str, ...]) -> None:
    found = patience.callers_of(service(name), ALL)
    assert tuple(each.name for each in found) == callers


def test_those_that_wait_are_known_by_the_names_of_kollas_containers() -> None:
    names = ("keystone", "nova_api", "nova_scheduler", "nova_compute")
    containers = tuple(service(name) for name in names)
    found = patience.callers_of(containers[1], containers)
    assert [each.name for each in found] == ["nova_scheduler", "nova_compute"]


def test_a_service_is_found_by_its_name_its_unit_and_its_node() -> None:
    assert services.pick(LAB, ALL, "keystone") == ALL[0]
    assert services.pick(LAB, ALL, "stacklab-keystone.service") == ALL[0]
    assert services.pick(LAB, ALL, "nova-compute", "compute2").node == "compute2"


@pytest.mark.parametrize(
    ("name", "node", "words"),
    [
        ("nova-compte", "", "did you mean nova-compute?"),
        ("nova-compute", "", "say which: --node compute1"),
        ("keystone", "compute1", "it is on controller"),
    ],
)
def test_one_that_is_not_there_or_twice_is_told(name: str, node: str, words: str) -> None:
    with pytest.raises(LabError) as caught:
        services.pick(LAB, ALL, name, node)
    assert words in f"{caught.value} {caught.value.hint}"


def test_a_lab_whose_services_nobody_knows_is_refused() -> None:
    with pytest.raises(LabError, match="no services that stacklab can debug"):
        service_prefix(spec.load(LABS / "mini-2node.yaml"))
    assert service_prefix(LAB) == "stacklab-"
    assert service_prefix(spec.load(LABS / "devstack-3node.yaml")) == "devstack@"
    assert service_prefix(spec.load(LABS / "kolla-3node.yaml")) == "kolla-"


def test_what_reads_journals_refuses_containers() -> None:
    assert prefix_of_units(LAB, "a trace") == "stacklab-"
    with pytest.raises(LabError, match="a trace takes services that are units of systemd"):
        prefix_of_units(spec.load(LABS / "kolla-3node.yaml"), "a trace")


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"service": "x/../../y", "unit": "u", "kind": "python", "state": "active"},
        {"service": "--help", "unit": "u", "kind": "python", "state": "active"},
        {"service": "x", "unit": "u; reboot", "kind": "python", "state": "active"},
        {"service": "x", "unit": "u", "kind": "\x1b[2J", "state": "active"},
        {"service": ["x"], "unit": "u", "kind": "python", "state": "active"},
    ],
)
def test_a_line_of_a_node_that_could_be_more_than_a_name_is_no_service(
    line: dict[str, object],
) -> None:
    assert services._read_service("node1", line) is None


@pytest.mark.parametrize(
    ("engine", "name", "container"),
    [
        ("docker", "nova_api", "nova_api"),
        ("podman", "nova_api", "nova_api"),
        # Both become words of a command that root runs.
        ("reboot;", "nova_api", ""),
        ("docker", "nova_api; reboot", ""),
        ("docker", "--privileged", ""),
        ("", "", ""),
    ],
)
def test_a_container_is_taken_by_its_plain_name_alone(
    engine: str, name: str, container: str
) -> None:
    line = {"service": "nova_api", "unit": "u", "kind": "python", "state": "active"}
    found = services._read_service("node1", {**line, "engine": engine, "container": name})
    assert found is not None
    assert found.container == container
    assert bool(found.engine) == bool(container)


@pytest.mark.parametrize(
    "said",
    [
        None,
        "x",
        [1],
        [{"pid": 1}],
        [{"pid": "1", "port": 5678}],
        [{"pid": 1, "port": 99999}],
        [{"pid": 1, "port": True}],
    ],
)
def test_what_is_no_process_is_none(said: object) -> None:
    assert services.read_processes(said) == ()


def test_no_more_processes_are_taken_than_a_service_has() -> None:
    said = [{"pid": pid, "port": 5678, "program": "\x1b[2Jx"} for pid in range(1000)]
    found = services.read_processes(said)
    assert len(found) == 50
    assert found[0].program == "x"


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("nova-api", "nova"),
        ("nova_api", "nova"),
        ("n-cpu", "nova"),
        ("keystone", "keystone"),
        ("q-svc", "neutron"),
    ],
)
def test_the_package_of_a_service_is_known(name: str, package: str) -> None:
    assert code.package_of(name) == package


@pytest.mark.parametrize(
    "place", ["nova/x.py", "nova/x.py:", "nova:1", "../x.py:1", "a b.py:1", ""]
)
def test_what_is_no_place_in_a_file_is_refused(place: str) -> None:
    with pytest.raises(LabError, match="is not a place in a source file"):
        breaking._read_place(place)


def test_vs_code_gets_an_entry_for_each_process_and_one_for_all(tmp_path: Path) -> None:
    paths = HostPaths(tmp_path).lab("cloud")
    ports = [(port, DebugProcess(pid=port, port=5678, program="nova-api")) for port in (6001, 6002)]
    folder = ide.write(paths, service("nova-api"), DEBUGPY, NOVA, 5678)
    ide.write_ports(folder, service("nova-api"), ports, NOVA)
    launch = json.loads((folder / ".vscode" / "launch.json").read_text())
    first, second = launch["configurations"]
    assert first["connect"] == {"host": "127.0.0.1", "port": 6001}
    assert second["connect"]["port"] == 6002
    assert first["justMyCode"] is False
    assert first["pathMappings"] == [
        {
            "localRoot": "${workspaceFolder}/nova",
            "remoteRoot": "/usr/lib/python3/dist-packages/nova",
        }
    ]
    assert launch["compounds"][0]["configurations"] == [first["name"], second["name"]]


def test_pycharm_gets_a_run_configuration_with_port_and_paths(tmp_path: Path) -> None:
    paths = HostPaths(tmp_path).lab("cloud")
    folder = ide.write(paths, service("nova-api"), PYCHARM, NOVA, 4321)
    text = (folder / ".idea" / "runConfigurations" / "debug_server.xml").read_text()
    (configuration,) = ElementTree.fromstring(text)
    assert configuration.get("type") == "PyRemoteDebugConfigurationType"
    assert configuration.get("name") == "nova-api on controller"
    options = {each.get("name"): each.get("value") for each in configuration.iter("option")}
    assert options["PORT"] == "4321"
    assert options["SUSPEND_AFTER_CONNECT"] == "false"
    (mapping,) = configuration.iter("mapping")
    assert mapping.attrib == {"local-root": "$PROJECT_DIR$/nova", "remote-root": NOVA}
    assert ide.variables(PYCHARM, folder, NOVA) == ()


def test_pydev_gets_a_project_and_its_debugger_the_paths(tmp_path: Path) -> None:
    paths = HostPaths(tmp_path).lab("cloud")
    folder = ide.write(paths, service("nova-api"), PYDEV, NOVA, 5678)
    project = ElementTree.fromstring((folder / ".project").read_text())
    assert project.findtext("name") == "nova-api on controller"
    assert ElementTree.fromstring((folder / ".pydevproject").read_text()).tag == "pydev_project"
    (variable,) = ide.variables(PYDEV, folder, NOVA)
    name, _, value = variable.partition("=")
    assert name == "PATHS_FROM_ECLIPSE_TO_PYTHON"
    assert json.loads(value) == [[f"{folder}/nova", NOVA]]


def test_an_egg_of_pycharm_gives_its_python_files(tmp_path: Path) -> None:
    egg = tmp_path / "pydevd-pycharm.egg"
    with zipfile.ZipFile(egg, "w") as archive:
        archive.writestr("pydevd_pycharm.py", "x = 1\n")
        archive.writestr("_pydevd_bundle/a.cpython-311.so", "x")
        archive.writestr("../../outside.py", "x")
        archive.writestr("/outside.py", "x")
        archive.writestr("./", "")
    assert files_of(SubprocessRunner(), Progress(), PYCHARM, egg) == {
        "pydevd_pycharm.py": b"x = 1\n"
    }


def test_what_is_no_egg_of_pycharm_is_refused(tmp_path: Path) -> None:
    other, text = tmp_path / "other.egg", tmp_path / "text.egg"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("other.py", "")
    text.write_text("no egg")
    encrypted = bytearray(other.read_bytes())
    for signature in (b"PK\x03\x04", b"PK\x01\x02"):
        at = encrypted.index(signature) + (6 if signature.endswith(b"\x04") else 8)
        encrypted[at] |= 1
    locked = tmp_path / "locked.egg"
    locked.write_bytes(encrypted)
    for egg in (other, text, locked, tmp_path / "none.egg"):
        with pytest.raises(LabError, match=r"\.egg") as caught:
            files_of(SubprocessRunner(), Progress(), PYCHARM, egg)
        assert "debug-eggs" in str(caught.value.hint)


def test_the_nearest_debugger_is_named() -> None:
    assert debugger_named("pydev") is PYDEV
    with pytest.raises(LabError) as caught:
        debugger_named("pycharn")
    assert "did you mean pycharm?" in str(caught.value.hint)


@pytest.mark.parametrize("kind", [PYCHARM, PYDEV], ids=lambda kind: kind.name)
def test_nothing_is_restarted_while_no_debug_server_listens(
    kind: DebuggerKind, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.stock("debian-12-openstack")
    host.up(LAB, with_stack=False)
    asked: list[str] = []

    def answer(
        _context: object, _paths: object, node: str, words: tuple[str, ...], **_: object
    ) -> list[dict[str, object]]:
        asked.append(words[0])
        if words[0] == "find":
            return [{"path": "/usr/lib/python3/dist-packages/keystone"}]
        is_there = node == "controller"
        known = {"service": "keystone", "unit": "stacklab-keystone", "kind": "uwsgi"}
        return [{**known, "state": "active"}] if is_there else []

    monkeypatch.setattr(node_program, "run", answer)
    monkeypatch.setattr(listening, "_TABLES", ())
    with pytest.raises(LabError, match=r"no debug server listens at 127\.0\.0\.1:4321") as caught:
        attaching.attach(host.context, LAB.name, "keystone", debugger=kind, ide_port=4321)
    assert f"in {kind.ide} and start its debug server" in str(caught.value.hint)
    assert set(asked) == {"look", "find"}


def test_a_tunnel_without_a_debugger_is_ended_too(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attach that was cut off leaves one: on the node everybody reaches the IDE by it."""
    host.stock("debian-12-openstack")
    host.up(LAB, with_stack=False)
    ended: list[str] = []
    monkeypatch.setattr(attaching, "list_services", lambda *_: ALL)
    monkeypatch.setattr(attaching.ssh_tunnel, "end", lambda log: ended.append(log.name))
    assert attaching.detach(host.context, LAB.name, ["keystone"]) == ()
    assert ended == ["controller.keystone.log"]
    attaching.detach(host.context, LAB.name, node="compute2")
    assert ended[1:] == ["compute2.nova-compute.log"]


def test_an_egg_is_refused_for_another_debugger(host: FakeHost) -> None:
    with pytest.raises(LabError, match="--egg is PyCharm's"):
        attaching.attach(host.context, LAB.name, "keystone", debugger=PYDEV, egg=Path("x.egg"))


def test_a_breakpoint_of_ours_is_refused_where_an_ide_has_the_service(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.stock("debian-12-openstack")
    host.up(LAB, with_stack=False)
    held = dataclasses.replace(ALL[0], is_hooked=True, debugger="pycharm")
    monkeypatch.setattr(breaking, "list_services", lambda *_: (held,))
    with pytest.raises(LabError, match="is under pycharm: an IDE has it"):
        breaking.wait_for_hit(host.context, LAB.name, "keystone", "keystone/x.py:1", limit_s=1)


def packed(*members: tuple[str, bytes, bytes]) -> bytes:
    """A tar as a node sends it, of members with a name, a type and content."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(content)
            member.linkname = "/etc/passwd"
            archive.addfile(member, io.BytesIO(content))
    return base64.b64encode(gzip.compress(whole.getvalue()))


def test_of_a_nodes_archive_only_plain_files_of_the_package_are_written(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    folder = tmp_path / "folder"
    folder.mkdir()
    data = packed(
        ("nova", tarfile.DIRTYPE, b""),
        ("nova/a.py", tarfile.REGTYPE, b"x = 1\n"),
        ("nova/link", tarfile.SYMTYPE, b""),
        ("nova/device", tarfile.CHRTYPE, b""),
        (".vscode/launch.json", tarfile.REGTYPE, b"{}"),
        (str(outside), tarfile.REGTYPE, b"x"),
    )
    code._unpack(data, folder, "nova")
    assert sorted(path.name for path in folder.rglob("*")) == ["a.py", "nova"]
    assert not outside.exists()
    with pytest.raises(tarfile.TarError):
        code._unpack(packed(("nova/../../outside", tarfile.REGTYPE, b"x")), folder, "nova")
    assert not outside.exists()


@pytest.mark.parametrize("data", [b"x", b"????", base64.b64encode(b"no gzip")])
def test_what_is_no_archive_is_told(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(code.NO_ARCHIVE):
        code._unpack(data, tmp_path, "nova")


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code, "_MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="more than"):
        code._unpack(packed(("nova/a.py", tarfile.REGTYPE, b"x" * 100_000)), tmp_path, "nova")


@pytest.mark.parametrize(
    ("states", "asked"),
    [
        ({}, ["controller", "compute1", "compute2"]),  # libvirtd is stopped, and nodes run
        ({"compute1": NodeState.OFF}, ["controller", "compute2"]),
    ],
)
def test_all_nodes_are_asked_but_those_that_are_off(
    states: dict[str, NodeState],
    asked: list[str],
    host: FakeHost,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host.stock("debian-12-openstack")
    host.up(LAB, with_stack=False)
    heard: list[str] = []

    def answer(_context: object, _paths: object, node: str, *_: object, **__: object) -> list[str]:
        heard.append(node)
        return []

    monkeypatch.setattr(node_program, "run", answer)
    monkeypatch.setattr(type(host.context), "states", lambda *_: states)
    assert services.list_services(host.context, LAB, host.lab(LAB.name)) == ()
    assert heard == asked
