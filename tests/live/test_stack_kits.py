"""The stages of contrail-installer, Packstack, kolla-ansible and OpenSDN's deployer, on real nodes.

The installers are stand-ins (tests/live/stand_ins) that obey what was read in the real ones: a
failure that ends with 0, an end that is half of one, files that a broken run leaves behind. The
commands that run are those of the product, and so are engine, units and error texts. In a copy of
the project, because the stand-ins run on Debian 12, and the installers do not.

Each kit fails in the middle, is told why, and is gone on with to the end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.paths.project import PROJECT
from tests.live import stand_ins
from tests.live.labs import HOME, NOT_COPIED, as_kind
from tests.live.typed import Run, Stacklab, flat

pytestmark = pytest.mark.live

TWO, ONE = "kits-2node", "kits-1node"
NODE = "{{role: {role}, memory: 1GiB, nics: [{nics}]}}"
SPEC = """\
description: Two nodes, or one, for installers that are stand-ins
image: debian-12
networks:
  net: {{cidr: 192.168.{number}.0/24, mode: nat}}
  out: {{cidr: 10.234.{number}.0/24, mode: nat}}
nodes:
{nodes}
stack:
  network: net
{stack}"""
CONTRAIL = "  installer: contrail\n  release: master\n  devstack_branch: stable/mitaka\n"
KOLLA = '  installer: kolla\n  release: "2025.2"\n  external_network: out\n'
OPENSDN = "  installer: opensdn\n  release: R26.1\n  kolla_mode: vanilla\n"
PACKSTACK = (
    "  installer: packstack\n  release: havana\n  driver: docker\n  network_mode: flat-dhcp\n"
)
# What the releases say of the systems that they are for.
SYSTEMS = (
    "images: ubuntu-14.04 centos-7\n",
    "images: fedora-19 fedora-20 centos-6\n",
    "images: ubuntu-24.04 ubuntu-22.04 ubuntu-20.04 rocky-9",
    "2024.2=ubuntu-24.04",
)


class Kits(Stacklab):
    """Types at the copy, and writes which installer its labs have."""

    def choose(self, lab: str, stack: str) -> None:
        """Write the spec of a lab that stays as it is, with another stack."""
        names = ("controller", "compute") if lab == TWO else ("controller",)
        nics = {"controller": "{network: net}, {network: out}", "compute": "{network: net}"}
        nodes = [f"  {name}: {NODE.format(role=name, nics=nics[name])}" for name in names]
        number = 234 if lab == TWO else 235
        text = SPEC.format(number=number, nodes="\n".join(nodes), stack=stack)
        (self.checkout / "labs" / f"{lab}.yaml").write_text(text)

    def fails(self, lab: str) -> str:
        """Run stages of which one has to fail, and return what is said of it."""
        # Its sources are stand-ins on the node: tried from there, the real ones would be refused.
        run = self.run("lab.stack", lab, "--no-sources")
        assert run.code == 11, run.err
        assert "Traceback" not in run.err
        assert f"./invoke lab.stack {lab} (it goes on there)" in flat(run.err)
        return flat(run.err)


def send(lab: str, node: str, command: str, data: bytes = b"") -> None:
    argv = ("ssh", "-F", str(HOME / "labs" / lab / "ssh_config"), node, command)
    run = subprocess.run(argv, input=data, capture_output=True, check=False, timeout=300)
    assert run.returncode == 0, run.stderr.decode()


def breaks(lab: str, *words: str, node: str = "controller") -> None:
    send(lab, node, "touch " + " ".join(f"/srv/broken/{word}" for word in words))


def mends(lab: str, word: str, node: str = "controller") -> None:
    send(lab, node, f"rm /srv/broken/{word}")


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory, image: Path) -> Kits:
    """A copy of the project whose releases know Debian 12."""
    assert image.is_file()
    copy = tmp_path_factory.mktemp("project") / "copy"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
    table = copy / "localrc" / "releases.yaml"
    text = table.read_text()
    for words in SYSTEMS:
        assert words in text
        joined = "+" if "=" in words else " "
        text = text.replace(
            words, f"{words.rstrip()}{joined}debian-12{words[len(words.rstrip()) :]}"
        )
    table.write_text(text)
    environment = {**os.environ, "STACKLAB_HOME": str(HOME), "PYTHONPATH": str(copy)}
    return Kits(checkout=copy, environment=environment)


def bring_up(kits: Kits, lab: str, kind: str, stack: str, packages: str) -> Run:
    """Bring a lab up whose nodes find the stand-ins where the installers would be."""
    kits.choose(lab, stack)
    up = kits.ok("lab.up", lab, "--no-checks", *as_kind(kind))
    install = (
        f"sudo apt-get -q update && sudo apt-get -qy install --no-install-recommends {packages}"
    )
    kits.ok("lab.exec", lab, "--", "bash", "-c", install)
    data = stand_ins.archive()
    place = stand_ins.PLACE
    unpack = f"sudo mkdir -p {place} && sudo tar -xzf - -C {place} && sudo sh {place}/install.sh"
    for node in kits.states(lab):
        send(lab, node, unpack, data)
    return up


@pytest.fixture(scope="module")
def two(kits: Kits, kind: str) -> Iterator[str]:
    bring_up(kits, TWO, kind, CONTRAIL, "git screen curl python3-venv")
    yield TWO
    kits.ok("lab.destroy", TWO)


@pytest.fixture(scope="module")
def one(kits: Kits, kind: str) -> Iterator[str]:
    bring_up(kits, ONE, kind, PACKSTACK, "git")
    yield ONE
    kits.ok("lab.destroy", ONE)


def test_contrail_is_judged_by_what_it_left_and_not_by_its_exit_code(kits: Kits, two: str) -> None:
    breaks(two, "vnsw", node="compute")
    breaks(two, "api")
    said = kits.fails(two)
    # Where the compute's agent was not built, contrail.sh goes on, and ends with 0.
    assert "stage build@compute failed at step 1 of 1 on compute: contrail.sh build" in said
    assert "ended with 0, but" in said
    assert "scons: *** [vnsw/agent/pkt.o] Error 1" in said
    assert "cannot build" not in said  # bash -x says what is about to be run
    assert ".stage.txt" in said.partition("usual cause:")[2]

    # It has that in its file as built, and would not build it again.
    mends(two, "vnsw", "compute")
    said = kits.fails(two)
    assert "stage start@controller failed at step 1 of 1 on controller: contrail.sh start" in said
    assert "api-server did not start" in said
    left = "ls /opt/stack/contrail-installer/status/contrail"
    assert "redis.pid" in kits.on(two, "controller", left)

    # With those files contrail.sh would start nothing, and end with 0.
    mends(two, "api")
    kits.ok("lab.stack", two, "--no-sources")
    sessions = kits.on(two, "controller", "screen -ls || true")
    assert ".contrail" in sessions
    assert ".stack" in sessions
    assert "agent.pid" not in kits.on(two, "controller", left)
    assert "agent.pid" in kits.on(two, "compute", left)
    # systemd ends all that is left of a step, but what runs in screen is meant to stay.
    kits.on(two, "compute", "ps -p $(cat /opt/stack/contrail-installer/status/contrail/agent.pid)")
    assert "done before" in kits.ok("lab.stack", two, "--no-sources").out


def test_kolla_goes_on_after_half_a_post_deploy_and_half_an_init_runonce(
    kits: Kits, two: str
) -> None:
    kits.choose(two, KOLLA)
    breaks(two, "openrc", "image", "neutron")
    said = kits.fails(two)
    assert "stage deploy failed at step 1 of 1 on controller: kolla-ansible deploy" in said
    assert "exit code 2" in said
    assert "manifest for nova-compute not found" in said
    mends(two, "image")
    said = kits.fails(two)
    # clouds.yaml is there, and post-deploy failed all the same.
    assert "stage finish failed at step 1 of 3 on controller: kolla-ansible post-deploy" in said
    assert "octavia_keystone_password" in said
    mends(two, "openrc")
    said = kits.fails(two)
    assert "stage finish failed at step 3 of 3 on controller: make first networks" in said
    assert "HttpException: 503" in said
    # init-runonce would find its image, do nothing, and end with 0.
    mends(two, "neutron")
    kits.ok("lab.stack", two, "--no-sources")
    made = kits.on(two, "controller", "cd /srv/cloud && ls */*").split()
    wanted = ("flavor/m2.tiny", "image/cirros", "keypair/mykey", "port/demo-router", "rule/tcp")
    assert set(wanted) <= set(made)


def test_opensdns_playbooks_go_on_where_one_failed(kits: Kits, two: str) -> None:
    kits.choose(two, OPENSDN)
    breaks(two, "clone", "ssh")
    said = kits.fails(two)
    assert "stage instances failed at step 1 of 1 on controller: prepare the instances" in said
    assert "Failed to connect to github.com" in said
    assert "passes over until its git checkout" in said
    mends(two, "clone")
    said = kits.fails(two)
    assert "stage opensdn failed at step 1 of 1 on controller: install OpenSDN R26.1" in said
    assert "exit code 4" in said
    assert (
        'fatal: [compute]: UNREACHABLE! => {"msg": "Failed to connect to the host via ssh"}' in said
    )
    mends(two, "ssh")
    kits.ok("lab.stack", two, "--no-sources")
    ran = kits.on(two, "controller", "grep PLAY /opt/stack/opensdn/ansible.log | grep -v RECAP")
    assert [line.split()[1] for line in ran.splitlines()] == [
        "[configure_instances]",
        "[configure_instances]",
        "[install_vanilla_openstack]",
        "[install_opensdn]",
        "[install_opensdn]",
        "[config_openstack]",
    ]


def test_packstack_that_asks_ends_and_the_docker_driver_goes_on(kits: Kits, one: str) -> None:
    breaks(one, "asks", "venv")
    started = time.monotonic()
    said = kits.fails(one)
    assert "stage packstack failed at step 3 of 3 on controller: run packstack havana" in said
    assert "ERROR : EOF when reading a line" in said
    assert time.monotonic() - started < 300, "it waited for an answer"
    mends(one, "asks")
    said = kits.fails(one)
    assert "on controller: install nova into a virtualenv" in said
    assert "Could not find a version that satisfies the requirement" in said
    mends(one, "venv")
    kits.ok("lab.stack", one, "--no-sources")
    assert "written by packstack" not in kits.on(
        one, "controller", "cat /opt/stack/packstack/answers.txt"
    )
    for service in ("docker", "redis", "docker-registry", "openstack-nova-compute"):
        kits.on(one, "controller", f"systemctl is-active {service}")
    assert "docker" in kits.on(one, "controller", "id -nG nova").split()
    driver = "sudo crudini --get /etc/nova/nova.conf DEFAULT compute_driver"
    assert kits.on(one, "controller", driver).strip() == "docker.DockerDriver"
    assert "/opt/stack/nova-venv/bin/nova-compute" in kits.on(
        one, "controller", "pgrep -u nova -af nova-compute"
    )
