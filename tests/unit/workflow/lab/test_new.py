"""`lab.new`: a file that validates, for a lab that can be up beside all others."""

from __future__ import annotations

import dataclasses
import errno
import functools
import itertools
import os
import sys
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stacklab import spec, typed
from stacklab.doctor import subnets
from stacklab.doctor.result import ProbeStatus
from stacklab.errors import CommandFailed, HostError, LabError, SpecError
from stacklab.model.lab import Lab
from stacklab.paths.names import is_lab_name
from stacklab.paths.project import LABS
from stacklab.spec.form.values import LAB_NAME_LENGTH, NAME
from stacklab.spec.resolve import bridge_name
from stacklab.workflow.lab import validate
from stacklab.workflow.lab.new import STARTER, NewLab, new
from tests.unit.doctor.fake_machine import link, make_machine
from tests.unit.workflow.fake_host import FakeHost

LAB = """\
# ./invoke lab.up first
image: debian-12
networks:
  net: {cidr: 10.20.0.0/24, mode: nat}
nodes:
  node: {nics: [{network: net, address: 10.20.0.5}]}
"""


@pytest.fixture
def labs(tmp_path: Path) -> Path:
    directory = tmp_path / "labs"
    directory.mkdir()
    return directory


def make(host: FakeHost, labs: Path, name: str = "second", original: str = "") -> NewLab:
    return new(host.context, name, original=original, directory=labs)


def write(labs: Path, name: str, text: str = LAB) -> None:
    (labs / f"{name}.yaml").write_text(text)


def cidrs(written: NewLab) -> list[str]:
    return [str(network.cidr) for network in written.lab.networks]


def test_the_comments_have_commands_as_they_are_typed_here(
    host: FakeHost, labs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(labs, "first")
    assert "# ./invoke lab.up second" in make(host, labs, original="first").path.read_text()
    monkeypatch.setattr(typed, "IS_CHECKOUT", False)
    monkeypatch.setattr(sys, "argv", ["/opt/venv/bin/stacklab", "lab.new", "third"])
    text = make(host, labs, "third", original="first").path.read_text()
    assert "# stacklab lab.up third" in text
    assert "./invoke" not in text


@functools.cache
def lab_of_ours(name: str) -> Lab:
    return spec.load(LABS / f"{name}.yaml")


def are_disjoint(*labs: Lab) -> bool:
    ranges = [network.cidr for lab in labs for network in lab.networks]
    return not any(one.overlaps(other) for one, other in itertools.combinations(ranges, 2))


def can_be_up_beside(lab: Lab, running: Lab) -> bool:
    """True if the doctor finds nothing to say while the other lab's bridges are there."""
    claims = [
        subnets.SubnetClaim(
            cidr=network.cidr, device=network.bridge, shown=str(network.cidr), is_address=is_address
        )
        for network in running.networks
        for is_address in (True, False)
    ]
    links = frozenset(network.bridge for network in running.networks)
    probes = subnets.probe_networks(lab, claims, links, [running])
    bridges = {network.bridge for network in lab.networks}
    macs = {nic.mac for node in lab.nodes for nic in node.nics}
    return (
        all(probe.status is ProbeStatus.OK for probe in probes)
        and not bridges & links
        and not macs & {nic.mac for node in running.nodes for nic in node.nics}
    )


@pytest.mark.parametrize("name", spec.names(LABS))
def test_every_lab_can_be_copied_and_be_up_beside_its_copy(
    host: FakeHost, labs: Path, name: str
) -> None:
    for path in LABS.glob("*.yaml"):
        write(labs, path.stem, path.read_text())
    written = make(host, labs, "my-own", original=name)
    assert written.notes == ()
    assert written.path == labs / "my-own.yaml"
    (copy,) = validate.all_of([written.path], spec.load)  # its answers, too
    assert copy == written.lab
    for other in spec.names(LABS):
        running = lab_of_ours(other)
        assert are_disjoint(copy, running), other
        assert can_be_up_beside(copy, running), other
    # The rest is as it was: the same lines, and all comments.
    before, after = (LABS / f"{name}.yaml").read_text(), written.path.read_text()
    assert len(before.splitlines()) == len(after.splitlines())
    assert before.count("#") == after.count("#")
    assert name not in after
    assert not any(str(network.cidr) in after for network in lab_of_ours(name).networks)


def test_the_starter_is_a_controller_and_two_computes(host: FakeHost, labs: Path) -> None:
    schema = labs / "lab.schema.json"
    schema.touch()
    written = make(host, labs, "my-own")
    assert [node.name for node in written.lab.nodes] == ["controller", "compute1", "compute2"]
    text = written.path.read_text()
    assert text.startswith("# yaml-language-server: $schema=./lab.schema.json\n")
    assert "./invoke lab.up my-own\n" in text
    assert "starter" not in text
    assert written.path.stat().st_mode & 0o777 == 0o644
    assert sorted(labs.iterdir()) == sorted([written.path, schema])


def test_what_the_starter_offers_in_comments_is_valid_too(labs: Path) -> None:
    text = STARTER.read_text()
    for line in text.splitlines():
        if (
            line.startswith(("# stack:", "# checks:", "#   ", "#     - "))
            and "./invoke" not in line
        ):
            text = text.replace(line, line.removeprefix("# "))
    text = text.replace("    # mtu", "    mtu").replace("    # delay", "    delay")
    text = text.replace("    # disk", "    disk")
    # It says so itself: a cloud needs more than the starter's memory.
    text = text.replace("memory: 2GiB", "memory: 8GiB").replace("memory: 1GiB", "memory: 3GiB")
    write(labs, "x", text)
    (lab,) = validate.all_of([labs / "x.yaml"], spec.load)
    assert lab.stack.release == "2026.1"
    assert [check.name for check in lab.checks.custom] == ["no service has failed"]
    assert lab.network("fabric").mtu == 9000


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.from_regex(NAME, fullmatch=True).filter(lambda name: len(name) <= LAB_NAME_LENGTH))
@pytest.mark.parametrize("original", ["", "first"])
def test_any_name_that_a_lab_can_have_gives_a_valid_file(
    host: FakeHost, labs: Path, original: str, name: str
) -> None:
    for path in labs.iterdir():
        path.unlink()
    write(labs, "first", f"name: first\n{LAB}")
    if name == "first":
        return
    written = make(host, labs, name, original)
    assert spec.load(written.path) == written.lab
    assert written.lab.name == name
    assert are_disjoint(written.lab, spec.load(labs / "first.yaml"))


def test_labs_that_are_made_one_after_the_other_never_share_a_range(
    host: FakeHost, labs: Path
) -> None:
    written = [make(host, labs, f"lab{number}").lab for number in range(30)]
    assert are_disjoint(*written)


# --- what is in use


def test_a_range_of_another_file_is_not_taken_nor_one_of_its_pools(
    host: FakeHost, labs: Path
) -> None:
    stack = "stack: {installer: devstack, release: mitaka, fixed_range: 10.180.0.0/24}\n"
    write(labs, "first", LAB + stack)
    assert cidrs(make(host, labs)) == ["192.168.181.0/24", "10.181.0.0/24"]


def test_a_broken_file_is_passed_over_but_for_what_can_be_read(host: FakeHost, labs: Path) -> None:
    write(labs, "broken", "networks: {\n")
    write(labs, "half", "networks: {net: {cidr: 10.180.0.0/16}}\nnodes: 5\n")
    written = make(host, labs)
    assert cidrs(written) == ["192.168.181.0/24", "10.181.0.0/24"]
    (note,) = written.notes
    assert "broken.yaml can't be read" in note


def test_a_range_of_this_host_is_not_taken(host: FakeHost, labs: Path) -> None:
    host.context.fake_machine = make_machine(
        links=[link("eth0", "192.168.180.7/24")],
        routes=[{"dst": "10.181.0.0/24", "dev": "wg0"}],
    )
    assert cidrs(make(host, labs)) == ["192.168.182.0/24", "10.182.0.0/24"]


def test_a_wide_route_is_kept_clear_of_as_long_as_there_is_other_room(
    host: FakeHost, labs: Path
) -> None:
    host.context.fake_machine = make_machine(routes=[{"dst": "10.0.0.0/8", "dev": "tun0"}])
    assert cidrs(make(host, labs)) == ["192.168.180.0/24", "172.30.0.0/24"]
    host.context.fake_machine = make_machine(
        routes=[
            {"dst": route, "dev": "tun0"}
            for route in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
        ]
    )
    # The first one has the starter's ranges already.
    written = make(host, labs, "third")
    assert cidrs(written) == ["192.168.181.0/24", "10.181.0.0/24"]
    assert written.notes == ()


def test_where_the_host_can_t_be_asked_that_is_said(host: FakeHost, labs: Path) -> None:
    def fails(command: object) -> object:
        raise CommandFailed("ip ended with 1")

    host.context.fake_machine = make_machine(says=fails)  # type: ignore[arg-type]
    written = make(host, labs)
    (note,) = written.notes
    assert "the addresses of this host cannot be read" in note
    assert "iproute2" in note
    assert spec.load(written.path) == written.lab


def test_a_range_of_a_lab_on_record_is_not_taken_whatever_its_file_says(
    host: FakeHost, labs: Path
) -> None:
    write(labs, "first", LAB.replace("10.20.", "10.180."))
    host.up(spec.load(labs / "first.yaml"))
    (labs / "first.yaml").unlink()
    assert cidrs(make(host, labs)) == ["192.168.181.0/24", "10.181.0.0/24"]


def test_libvirt_s_own_default_range_is_never_taken(host: FakeHost, labs: Path) -> None:
    write(labs, "first", LAB.replace("10.20.0", "192.168.122"))
    assert not IPv4Network("192.168.122.0/24").overlaps(
        make(host, labs, original="first").lab.networks[0].cidr
    )


@pytest.mark.parametrize("where", ["host", "record", "file"])
def test_a_bridge_s_name_that_there_is_already_is_refused(
    host: FakeHost, labs: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "host":
        bridge = bridge_name("second", "mgmt")
        host.context.fake_machine = make_machine(links=[link(bridge)])
    else:
        write(labs, "first")
        first = spec.load(labs / "first.yaml")
        # No two names are known whose digests begin alike.
        if where == "record":
            network = dataclasses.replace(first.networks[0], bridge=bridge_name("second", "fabric"))
            monkeypatch.setattr(
                type(host.context),
                "other_labs",
                lambda _self, _name: (dataclasses.replace(first, networks=(network,)),),
            )
        else:
            monkeypatch.setattr(
                "stacklab.workflow.lab.new.bridge_name",
                lambda _lab, _network: bridge_name("second", "fabric"),
            )
    with pytest.raises(LabError, match=r"the bridge of network (mgmt|fabric) would be sl-"):
        make(host, labs)
    assert not (labs / "second.yaml").exists()


# --- what can't be moved


def test_a_range_for_which_there_is_no_room_stays_and_that_is_said(
    host: FakeHost, labs: Path
) -> None:
    write(labs, "first", LAB.replace("10.20.0.0/24", "10.0.0.0/8"))
    written = make(host, labs, original="first")
    assert cidrs(written) == ["10.0.0.0/8"]
    (note,) = written.notes
    assert "network net stays in 10.0.0.0/8, which is in use" in note


def test_a_bridged_network_stays_and_that_is_said(host: FakeHost, labs: Path) -> None:
    bridged = "  lan: {cidr: 192.168.7.0/24, mode: bridged, bridge: br0}\nnodes:"
    nic = "address: 10.20.0.5}, {network: lan, address: 192.168.7.9}"
    text = LAB.replace("nodes:", bridged).replace("address: 10.20.0.5}", nic)
    write(labs, "first", text)
    written = make(host, labs, original="first")
    assert cidrs(written) == ["10.180.0.0/24", "192.168.7.0/24"]
    assert "address: 192.168.7.9" in written.path.read_text()
    (note,) = written.notes
    assert "network lan stays in 192.168.7.0/24, since it is by br0 of the host's" in note


def test_a_copy_that_would_not_be_valid_is_not_written(host: FakeHost, labs: Path) -> None:
    # An escape in the text: the address is not there to be found.
    write(labs, "first", LAB.replace("address: 10.20.0.5", 'address: "10.20.0\\x2e5"'))
    spec.load(labs / "first.yaml")
    with pytest.raises(LabError, match="can't be moved to other networks by itself") as caught:
        make(host, labs, original="first")
    assert "10.20.0.5 of node is outside net" in caught.value.message
    assert "cp " in (caught.value.hint or "")
    assert not (labs / "second.yaml").exists()


# --- refusals


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("My_Lab", "my-lab"),
        ("a/b", "a-b"),
        ("..", "my-lab"),
        ("", "my-lab"),
        ("-x-", "x"),
        ("x" * 31, "x" * 30),
        ("ä.yaml", "yaml"),
    ],
)
def test_a_bad_name_is_refused_in_the_spec_s_words(
    host: FakeHost, labs: Path, name: str, better: str
) -> None:
    with pytest.raises(LabError) as caught:
        make(host, labs, name)
    assert caught.value.hint == f"./invoke lab.new {better}"
    assert is_lab_name(better)
    assert not list(labs.iterdir())
    if "/" in name or name in ("", ".."):
        return
    write(labs, "other", LAB)
    (labs / "other.yaml").rename(labs / f"{name}.yaml")
    with pytest.raises(SpecError) as by_rules:
        spec.load(labs / f"{name}.yaml")
    words = caught.value.message.removeprefix("no lab can have this name: ").partition(" (")[0]
    assert words in by_rules.value.message


def test_a_lab_s_file_is_never_written_over(host: FakeHost, labs: Path) -> None:
    write(labs, "first")
    write(labs, "first-2", "")
    with pytest.raises(LabError, match=r"first\.yaml exists") as caught:
        make(host, labs, "first", original="first-2")
    assert (caught.value.hint or "").startswith("./invoke lab.new first-3 --from first-2, or")
    assert (labs / "first.yaml").read_text() == LAB


def test_a_file_that_appears_meanwhile_is_left_alone(
    host: FakeHost, labs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*_: object) -> Lab:
        write(labs, "second")
        return spec.load(STARTER)

    monkeypatch.setattr(spec, "load_text", meanwhile)
    with pytest.raises(LabError, match=r"second\.yaml exists"):
        make(host, labs)
    assert (labs / "second.yaml").read_text() == LAB
    assert list(labs.iterdir()) == [labs / "second.yaml"]


def test_the_name_of_a_lab_that_is_up_without_a_file_is_refused(host: FakeHost, labs: Path) -> None:
    host.up()
    with pytest.raises(LabError, match="a lab trio is on this host") as caught:
        make(host, labs, "trio")
    assert "./invoke lab.status trio" in (caught.value.hint or "")


def test_other_directories_of_labs_count_too(host: FakeHost, labs: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (labs / "first.yaml").write_text(LAB)
    written = new(host.context, "second", original="first", directory=labs, others=(mine,))
    (written.path).rename(mine / "second.yml")
    third = new(host.context, "third", original="first", directory=labs, others=(mine,))
    assert third.lab.networks[0].cidr not in {
        written.lab.networks[0].cidr,
        spec.load(labs / "first.yaml").networks[0].cidr,
    }
    with pytest.raises(LabError, match=r"second\.yml exists"):
        new(host.context, "second", original="first", directory=labs, others=(mine,))


def test_a_lab_outside_of_the_project_names_the_schema_by_its_path(
    host: FakeHost, tmp_path: Path
) -> None:
    text = new(host.context, "mine", original="", directory=tmp_path).path.read_text()
    assert text.startswith(f"# yaml-language-server: $schema={LABS}/lab.schema.json\n")


def test_an_unknown_original_is_refused_with_the_nearest_name(host: FakeHost, labs: Path) -> None:
    write(labs, "first")
    with pytest.raises(SpecError, match="did you mean first"):
        make(host, labs, original="firts")


def test_an_original_with_mistakes_is_refused_with_them(host: FakeHost, labs: Path) -> None:
    write(labs, "first", LAB.replace("mode: nat", "mode: nut"))
    with pytest.raises(SpecError, match=r"first\.yaml:4:.*'nut' is unknown"):
        make(host, labs, original="first")
    assert not (labs / "second.yaml").exists()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_directory_that_can_t_be_written_to_is_named(
    host: FakeHost, labs: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(HostError, match=rf"second\.yaml can't be written: {os.strerror(number)}"):
        make(host, labs)
    assert list(labs.iterdir()) == []


def test_without_the_directory_that_is_said(host: FakeHost, labs: Path) -> None:
    labs.rmdir()
    with pytest.raises(HostError, match=r"second\.yaml can't be written: No such file") as caught:
        make(host, labs)
    assert "ls -ld" in (caught.value.hint or "")
