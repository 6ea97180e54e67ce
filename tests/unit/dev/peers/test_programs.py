"""What each peer writes and runs: names of its own, the lab's nodes, and no KVM where it hangs."""

from __future__ import annotations

import configparser
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from stacklab.dev.cycles import bench_log
from stacklab.dev.peers import kcli, peer, virt_lightning
from stacklab.dev.peers.kcli import Kcli
from stacklab.dev.peers.peer import Peer, Site
from stacklab.dev.peers.stacklab_lab import StacklabLab
from stacklab.dev.peers.vagrant import VagrantPeer
from stacklab.dev.peers.virt_lightning import VirtLightning
from stacklab.errors import CommandFailed, LabError
from stacklab.paths.project import PROJECT
from stacklab.process import Command, Result
from stacklab.tools.host.accelerator import Accelerator
from stacklab.tools.venvs import Venv
from stacklab.workflow.snapshots import pristine
from tests.unit.dev.peers.fake_peers import FakeThings, make_site
from tests.unit.workflow.fake_host import FakeHost, host

__all__ = ["host"]

KVM = Accelerator(name="KVM", reason="a test")
MOST_LETTERS = 15  # of a bridge's name


@pytest.fixture
def site(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = make_site(host)
    made.work.mkdir()

    def prepare_venv(name: str, _site: Site) -> Venv:
        return Venv(name=name, directory=Path("/venvs") / name, requirements=Path("/none"))

    monkeypatch.setattr(peer, "prepare_venv", prepare_venv)
    for program in ("/venvs/kcli/bin/kcli", "/venvs/virt-lightning/bin/python", "vagrant", "tar"):
        host.runner.on(program)
    host.runner.on("tar", answer=_tar)
    host.runner.on("qemu-img", "convert")
    return made


def _convert(command: Command) -> Result:
    Path(command.argv[-1]).write_bytes(Path(command.argv[-2]).read_bytes())
    return Result(exit_code=0)


def _tar(command: Command) -> Result:
    Path(command.argv[2]).write_text("a box")
    return Result(exit_code=0)


def node_names(site: Site) -> list[str]:
    return [node.name for node in site.lab.nodes]


# --- what all have in common

OTHERS: tuple[Callable[[Site], Kcli | VagrantPeer | VirtLightning], ...] = (
    Kcli,
    VagrantPeer,
    VirtLightning,
)


@pytest.mark.parametrize("make", OTHERS)
def test_names_and_addresses_are_a_peer_s_own(
    site: Site, make: Callable[[Site], Kcli | VagrantPeer | VirtLightning]
) -> None:
    made = make(site)
    others = [other(site) for other in OTHERS if other is not make]
    assert made.prefix.startswith("slpeer-")
    assert made.prefix not in [other.prefix for other in others]
    assert not any(made.network.overlaps(other.network) for other in others)
    assert list(made.addresses) == node_names(site)
    assert len({*made.addresses.values()}) == len(site.lab.nodes)
    assert len(f"{made.prefix}net") <= MOST_LETTERS


@pytest.mark.parametrize("make", OTHERS)
def test_each_command_has_an_end_and_writes_into_the_log(
    site: Site, make: Callable[[Site], Peer], host: FakeHost
) -> None:
    made = make(site)
    made.prepare()
    starts = [made.up()]
    made.down()
    if made.restore_row:
        made.before_restore()
        starts.append(made.restore())
    commands = [*host.runner.commands, *(start.command for start in starts)]
    assert all(command.timeout_s for command in commands)
    assert {command.log for command in commands} == {bench_log(host.paths)}


def test_a_peer_without_snapshots_says_so(site: Site) -> None:
    made = VirtLightning(site)
    assert made.restore_row == ""
    with pytest.raises(LabError, match="has no snapshots"):
        made.restore()


def test_a_peer_that_can_t_be_installed_fails_before_it_makes_anything(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare_venv(_name: str, _site: Site) -> Venv:
        raise CommandFailed("making .peers/kcli: pip ended with 1")

    monkeypatch.setattr(peer, "prepare_venv", prepare_venv)
    made = Kcli(site)
    with pytest.raises(CommandFailed, match="pip ended with 1"):
        made.prepare()
    assert not made.work.exists()


def test_venvs_have_requirements_with_hashes(host: FakeHost, tmp_path: Path) -> None:
    for name in (Kcli.name, VirtLightning.name):
        text = (PROJECT / "requirements" / f"peers-{name}.txt").read_text()
        assert f"\n{name}==" in text
        assert "--hash=sha256:" in text


# --- kcli


def test_kcli_s_plan_has_the_lab_s_nodes_without_kvm(site: Site) -> None:
    made = Kcli(site)
    made.prepare()
    plan = yaml.safe_load((made.work / "plan.yml").read_text())
    network, *nodes = plan.items()
    assert network == ("slpeer-kc-net", {"type": "network", "cidr": "172.31.247.0/24"})
    assert [name for name, _ in nodes] == [f"slpeer-kc-{name}" for name in node_names(site)]
    node, entry = site.lab.nodes[0], nodes[0][1]
    assert (entry["memory"], entry["numcpus"]) == (node.memory.mib, node.cpus)
    assert (entry["virttype"], entry["cpumodel"], entry["nested"]) == ("qemu", "qemu64", False)
    assert entry["nets"] == [
        {"name": "slpeer-kc-net", "nic": "eth0", "ip": "172.31.247.10", "mask": "255.255.255.0"}
    ]
    assert entry["disks"] == [node.disk.mib // 1024]
    assert (made.work / "pool" / entry["image"]).read_bytes() == b"qcow2"


def test_kcli_picks_its_own_cpu_where_kvm_works(site: Site) -> None:
    entries = Kcli(dataclasses.replace(site, accelerator=KVM)).plan().values()
    assert not [entry for entry in entries if "virttype" in entry or "cpumodel" in entry]  # type: ignore[operator]


def test_kcli_has_a_home_of_its_own(site: Site, host: FakeHost) -> None:
    made = Kcli(site)
    made.prepare()
    command = host.runner.commands[-1]
    assert command.argv[1:3] == ("create", "pool")
    assert command.env["HOME"] == str(made.work / "home")
    assert command.env["KCLI_CONFIG"] is None
    config = yaml.safe_load((made.work / "home" / ".kcli" / "config.yml").read_text())
    assert config["local"]["pool"] == "slpeer-kc-pool"
    assert kcli._PLAN == "slpeer-kc"


# --- virt-lightning


def test_virt_lightning_gets_its_files_and_no_kvm(site: Site) -> None:
    made = VirtLightning(site)
    made.prepare()
    config = configparser.ConfigParser()
    config.read(made.work / "config.ini")
    assert config["main"]["network_name"] == "slpeer-vl-net"
    assert config["main"]["storage_pool"] == "slpeer-vl-pool"
    assert Path(config["main"]["ssh_key_file"]).is_file()
    assert (made.work / "config.ini").stat().st_mode & 0o777 == 0o600  # it has a password
    nodes = yaml.safe_load((made.work / "nodes.yaml").read_text())
    assert [node["name"] for node in nodes] == [f"slpeer-vl-{name}" for name in node_names(site)]
    assert nodes[0]["networks"] == [{"network": "slpeer-vl-net", "ipv4": "172.31.246.10"}]
    # Where virt-lightning looks for the image of that name.
    image = made.work / "pool" / "upstream" / f"{nodes[0]['distro']}.qcow2"
    assert image.read_bytes() == b"qcow2"
    argv = made.up().command.argv
    assert argv[1] == str(virt_lightning._DRIVER)
    assert Path(argv[1]).is_file()
    assert argv[2:5] == (str(made.work / "pool"), "qemu", "qemu64")
    assert argv[5:7] == ("--config", str(made.work / "config.ini"))
    assert argv[7] == "up"


# --- vagrant


def test_vagrant_s_pool_is_ours_and_knows_the_seeds(site: Site, host: FakeHost) -> None:
    things = FakeThings()
    host.runner.on("qemu-img", "convert", answer=_convert)
    VagrantPeer(dataclasses.replace(site, things=things)).prepare()
    seeds = sorted(f"{name}.seed.qcow2" for name in node_names(site))
    assert things.pools == {"slpeer-vg-pool": seeds}


def test_vagrant_names_all_that_it_makes(site: Site, host: FakeHost) -> None:
    made = VagrantPeer(site)
    made.prepare()
    settings = json.loads((made.work / "plain" / "plain.json").read_text())
    assert settings["prefix"] == "slpeer-vg-"
    assert settings["networks"]["private"] == "slpeer-vg-net"
    assert settings["networks"]["management"] == "slpeer-vg-mgmt"
    assert (settings["driver"], settings["cpu_model"]) == ("qemu", "qemu64")
    assert [node["address"] for node in settings["nodes"]] == [*made.addresses.values()]
    # libvirt's snapshots, which Vagrant makes, need qcow2 for every disk.
    assert settings["seed_format"] == "qcow2"
    conversions = [argv for argv in host.runner.argvs if argv[:2] == ("qemu-img", "convert")]
    assert [Path(argv[-1]).name for argv in conversions] == [
        node["seed"] for node in settings["nodes"]
    ]
    assert host.runner.argvs[-1][:5] == ("vagrant", "box", "add", "--name", "slpeer-vg-box")
    assert not (made.work / "bench.box").exists()
    text = (PROJECT / "vagrant" / "plain.Vagrantfile").read_text()
    for key in (*settings, *settings["networks"], *settings["nodes"][0]):
        assert f'["{key}"]' in text, f"plain.Vagrantfile does not read {key}"


def test_vagrant_s_nodes_are_off_before_they_are_restored(site: Site, host: FakeHost) -> None:
    made = VagrantPeer(site)
    made.prepare()
    made.before_restore()
    assert [argv[1:3] for argv in host.runner.argvs[-2:]] == [
        ("snapshot", "save"),
        ("halt", "--force"),
    ]
    assert made.restore().command.argv[1:3] == ("snapshot", "restore")


# --- stacklab


@pytest.fixture
def invoked(host: FakeHost) -> list[tuple[str, ...]]:
    words: list[tuple[str, ...]] = []

    def answer(command: Command) -> Result:
        words.append(command.argv[1:])
        return Result(exit_code=0)

    host.runner.on(str(PROJECT / "invoke"), answer=answer)
    return words


def set_why_cold(monkeypatch: pytest.MonkeyPatch, *answers: str | None) -> None:
    waiting = [*answers]
    monkeypatch.setattr(pristine, "why_cold_start", lambda *_args, **_options: waiting.pop(0))


def test_stacklab_is_run_as_its_users_run_it(site: Site) -> None:
    made = StacklabLab(site)
    start = made.up()
    assert start.command.argv[1:] == ("lab.up", "trio", "--cold", "--no-checks")
    assert start.addresses == ("10.10.0.11", "10.10.0.12", "10.10.0.13")
    assert made.restore().command.argv[1:] == ("lab.up", "trio", "--no-checks")


def test_stacklab_s_snapshot_is_made_by_a_checked_lab_up(
    site: Site, invoked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_why_cold(monkeypatch, None, "")
    StacklabLab(site).before_restore()
    assert invoked == [
        ("lab.destroy", "trio"),
        ("lab.up", "trio", "--cold"),
        ("lab.destroy", "trio"),
    ]


def test_a_snapshot_that_is_there_is_taken(
    site: Site, invoked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_why_cold(monkeypatch, "", "")
    StacklabLab(site).before_restore()
    assert invoked == [("lab.destroy", "trio")]


def test_a_cold_start_is_never_timed_as_a_restore(
    site: Site, invoked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_why_cold(monkeypatch, None, "the image changed")
    with pytest.raises(LabError, match=r"lab\.up would be a cold start: the image changed"):
        StacklabLab(site).before_restore()


def test_a_lab_that_the_bench_did_not_bring_up_is_left_alone(
    site: Site, host: FakeHost, invoked: list[tuple[str, ...]]
) -> None:
    host.stock("debian-12")
    host.up()
    made = StacklabLab(site)
    assert made.clean() == ""
    assert invoked == []
    made.prepare()
    assert made.clean() == "lab trio"
    assert invoked[0][:2] == ("lab.destroy", "trio")
