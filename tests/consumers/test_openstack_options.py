"""Every option that we render for a living release is its service's, and of the right type.

Judged by the option definitions of nova, glance, neutron and cinder of OpenStack 2026.1, see the
driver. Those of ended releases were looked up by hand: cpu_, ram_ and disk_allocation_ratio are
nova's (DEFAULT) at every tag from havana-eol on; allowed_direct_url_schemes is in DEFAULT at
havana-eol and icehouse-eol, in glance from juno-eol to ussuri-eol; filesystems of image_file_url
up to ocata-eol, where newton-eol and ocata-eol cannot read the sections that it names (they are
registered before the files are read; seen by running the modules).
"""

from __future__ import annotations

import configparser
import json
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import pytest

from stacklab import releases, spec
from stacklab.installers.rendering import preview
from stacklab.model.lab import Lab
from stacklab.model.stack import Installer
from stacklab.paths.project import PROJECT
from tests.consumers.conftest import Consumer
from tests.contract.rendered import options_of
from tests.unit.installers.devstack import devstack_labs
from tests.unit.installers.kolla import kolla_labs
from tests.unit.installers.packstack import packstack_labs

pytestmark = pytest.mark.consumers

Ini = dict[str, dict[str, list[str]]]

_DRIVER = Path(__file__).with_name("drivers") / "openstack_options.py"
_SERVICES = {
    "nova.conf": "nova",
    "nova_conf": "nova",
    "nova_cpu_conf": "nova",
    "nova-cpu.conf": "nova",
    "glance-api.conf": "glance-api",
    "glance_api_conf": "glance-api",
    "neutron.conf": "neutron",
    "neutron_conf": "neutron",
    "ml2_conf.ini": "ml2",
    "neutron_core_plugin_conf": "ml2",
    "q_plugin_conf_file": "ml2",
    "cinder.conf": "cinder",
    "cinder_conf": "cinder",
}
# Glance says for ten years that it goes; nothing else makes it show where images are.
_ACCEPTED = {("glance-api", "DEFAULT", "show_multiple_locations")}
_OVERCOMMIT = {"cpu": 4, "ram": 1.5, "disk": 2}
_POST_CONFIG = {
    "all": {
        "$NOVA_CONF": {"DEFAULT": {"debug": "true"}, "libvirt": {"virt_type": "qemu"}},
        "$CINDER_CONF": {"backend_defaults": {"volume_clear": "none"}},
    }
}


def judged(python: Path, found: Mapping[str, Ini]) -> list[list[str]]:
    wrong: list[list[str]] = []
    for service, ini in found.items():
        done = subprocess.run(
            [python, _DRIVER, service],
            input=json.dumps(ini),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        wrong += json.loads(done.stdout)
    return [each for each in wrong if tuple(each[:3]) not in _ACCEPTED]


def from_files(lab: Lab, files: Mapping[PurePosixPath, str]) -> Iterator[tuple[str, Ini]]:
    """Service and options of every ini file that a node's answers make, however they do it."""
    for path, text in files.items():
        if path.name == "local.conf":
            for file, ini in options_of(text, lab.stack.release, {}).items():
                yield PurePosixPath(file).name, ini
        elif path.name == "options.sh":
            for line in text.split("\n"):
                if line.startswith("option /"):
                    _, file, section, key, value = shlex.split(line)
                    yield PurePosixPath(file).name, {section: {key: [value]}}
        elif path.is_relative_to("/etc/kolla/config") and path.suffix in (".conf", ".ini"):
            parser = configparser.RawConfigParser(default_section="-")
            parser.read_string(text)
            yield (
                path.name,
                {
                    name: {key: [value] for key, value in parser[name].items()}
                    for name in parser.sections()
                },
            )


def written(lab: Lab) -> dict[str, Ini]:
    """All that a lab's answers set, by service."""
    found: dict[str, Ini] = {}
    for files in preview(lab).values():
        for name, ini in from_files(lab, files):
            assert name in _SERVICES, f"{name}: whose options are these?"
            for section, options in ini.items():
                found.setdefault(_SERVICES[name], {}).setdefault(section, {}).update(options)
    return found


def living(installer: Installer) -> list[str]:
    return [name for name, release in releases.of(installer).items() if release.is_alive]


def shipped() -> Iterator[Lab]:
    for path in sorted((PROJECT / "labs").glob("*.yaml")):
        lab = spec.load(path)
        if lab.stack.installer is not Installer.NONE and lab.stack.release in living(
            lab.stack.installer
        ):
            yield lab


@pytest.mark.parametrize("lab", [pytest.param(lab, id=lab.name) for lab in shipped()])
def test_the_options_of_a_lab_in_labs_are_its_services_own(lab: Lab, consumer: Consumer) -> None:
    assert judged(consumer("openstack"), written(lab)) == []


@pytest.mark.parametrize("release", living(Installer.DEVSTACK))
def test_devstacks_options_are_the_services_own(
    release: str, tmp_path: Path, consumer: Consumer
) -> None:
    lab = devstack_labs.load(
        tmp_path, release=release, overcommit=_OVERCOMMIT, post_config=_POST_CONFIG
    )
    found = written(lab)
    assert found["nova"]["DEFAULT"].keys() >= {f"{name}_allocation_ratio" for name in _OVERCOMMIT}
    assert judged(consumer("openstack"), found) == []


@pytest.mark.parametrize("release", living(Installer.KOLLA))
def test_kollas_options_are_the_services_own(
    release: str, tmp_path: Path, consumer: Consumer
) -> None:
    lab = kolla_labs.load(
        tmp_path, release=release, overcommit=_OVERCOMMIT, post_config=_POST_CONFIG
    )
    found = written(lab)
    assert found["nova"]["DEFAULT"].keys() >= {f"{name}_allocation_ratio" for name in _OVERCOMMIT}
    assert judged(consumer("openstack"), found) == []


@pytest.mark.parametrize("release", living(Installer.PACKSTACK))
def test_packstacks_options_are_the_services_own(
    release: str, tmp_path: Path, consumer: Consumer
) -> None:
    stack = f"overcommit: {json.dumps(_OVERCOMMIT)}\npost_config: {json.dumps(_POST_CONFIG)}"
    found = written(packstack_labs.load(tmp_path, stack, release=release))
    assert found["nova"]["DEFAULT"].keys() >= {
        "disk_allocation_ratio",
        "debug",
    }  # the others have keys of Packstack's
    assert judged(consumer("openstack"), found) == []


def test_what_is_unknown_or_of_the_wrong_type_is_told(consumer: Consumer) -> None:
    nova = {
        "DEFAULT": {"cpu_alocation_ratio": ["1"], "ram_allocation_ratio": ["much"]},
        "scheduler": {"workers": ["1", "2"]},
        "glanse": {"debug": ["true"]},
    }
    wrong = {tuple(each[1:3]): each[3] for each in judged(consumer("openstack"), {"nova": nova})}
    assert wrong["DEFAULT", "cpu_alocation_ratio"] == "no such option"
    assert "could not convert" in wrong["DEFAULT", "ram_allocation_ratio"]
    assert wrong["scheduler", "workers"] == "has one value"
    assert wrong["glanse", ""] == "no such section"
