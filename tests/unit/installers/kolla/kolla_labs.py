"""Labs for the tests of kolla-ansible's answers, loaded from specs as people write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import yaml

from stacklab import spec
from stacklab.installers import rendering as answers
from stacklab.installers.kolla.answers.passwords import secret_names
from stacklab.model.lab import Lab

GLOBALS = PurePosixPath("/etc/kolla/globals.yml")
PASSWORDS = PurePosixPath("/etc/kolla/passwords.lab.yml")
INVENTORY = PurePosixPath("/etc/kolla/inventory/lab")
CONFIG = PurePosixPath("/etc/kolla/config")

NETWORKS = {
    "mgmt": {"cidr": "192.168.250.0/24", "mode": "nat"},
    "fabric": {"cidr": "10.250.0.0/24", "mode": "isolated"},
}
FOUR = {
    **NETWORKS,
    "data": {"cidr": "10.250.1.0/24", "mode": "isolated"},
    "external": {"cidr": "10.250.2.0/24", "mode": "nat"},
}
IMAGES = {
    "2025.1": "debian-12",
    "2025.2": "debian-12",
    "2026.1": "debian-12",
    "master": "ubuntu-24.04",
}


def nics(*networks: str) -> list[dict[str, str]]:
    """NICs on networks, in this order; "fabric=10.250.0.2" is one with an address of its own."""
    parts = [network.partition("=") for network in networks]
    return [
        {"network": name, **({"address": address} if address else {})} for name, _, address in parts
    ]


def load(
    directory: Path,
    *,
    release: str = "2025.2",
    controllers: int = 1,
    computes: int = 2,
    controller_nics: tuple[str, ...] = ("mgmt", "fabric"),
    compute_nics: tuple[str, ...] = ("mgmt", "fabric"),
    networks: Mapping[str, object] = NETWORKS,
    bystanders: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    **stack: object,
) -> Lab:
    """Load a lab of one or more controllers and some computes."""
    nodes: dict[str, object] = {
        "controller": {"role": "controller", "count": controllers, "nics": nics(*controller_nics)}
        if controllers > 1
        else {"role": "controller", "nics": nics(*controller_nics)}
    }
    if computes:
        nodes["compute"] = {"role": "compute", "count": computes, "nics": nics(*compute_nics)}
    nodes |= {
        name: {"role": "node", "nics": nics(*networks)} for name, networks in bystanders.items()
    }
    data = {
        "image": IMAGES.get(release, "debian-12"),
        "networks": dict(networks),
        "nodes": nodes,
        "stack": {"installer": "kolla", "release": release, "network": "fabric", **stack},
    }
    path = directory / "labs" / "kolla-lab.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return spec.load(path)


def secrets(lab: Lab) -> dict[str, str]:
    """A secret of its own for every name."""
    return {name: f"S{index:019d}" for index, name in enumerate(secret_names(lab))}


def deployer(lab: Lab) -> Mapping[PurePosixPath, str]:
    """The rendered files of the node that kolla-ansible runs on."""
    return answers.render(lab, secrets(lab))[lab.controller.name]


def globals_of(lab: Lab) -> dict[str, object]:
    """globals.yml as YAML reads it."""
    found: dict[str, object] = yaml.safe_load(deployer(lab)[GLOBALS])
    return found
