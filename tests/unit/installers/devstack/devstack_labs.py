"""Labs of DevStack, written as a spec and read back: what the tests of its answers render."""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path, PurePosixPath
from typing import Any

from stacklab import releases, spec
from stacklab.installers import rendering as answers
from stacklab.model.lab import Lab
from stacklab.model.release import Release
from stacklab.model.stack import Installer

LOCAL_CONF = PurePosixPath("/opt/stack/devstack/local.conf")
LOCALRC = PurePosixPath("/opt/stack/devstack/localrc")

# mgmt for the host, then one for each of OpenStack's own four networks.
NETWORKS = {
    "mgmt": "192.168.170.0/24",
    "fabric": "10.170.0.0/24",
    "api": "10.170.1.0/24",
    "data": "10.170.2.0/24",
    "outside": "10.170.3.0/24",
}
TWO = ("mgmt", "fabric")
FOUR = {"api_network": "api", "data_network": "data", "external_network": "outside"}
SECRETS = {
    name: f"{name.title().replace('_', '')}0123456789"
    for name in (
        "admin_password",
        "database_password",
        "rabbit_password",
        "service_password",
        "service_token",
    )
}


def write(
    directory: Path,
    *,
    release: str = "2026.1",
    networks: tuple[str, ...] = TWO,
    computes: int = 2,
    outside_on_computes: bool = True,
    **stack: Any,  # noqa: ANN401 - whatever a spec's stack may hold
) -> Path:
    """A lab's file: a controller and some computes, on an image that the release supports."""
    row = releases.find(Installer.DEVSTACK, release)
    names = [
        *networks,
        *(stack[key] for key in FOUR if key in stack and stack[key] not in networks),
    ]
    nics = [{"network": name} for name in names]
    of_computes = [nic for nic in nics if outside_on_computes or nic["network"] != "outside"]
    lab = {
        "description": "a lab of the tests",
        "image": [row.images[0]],
        "networks": {name: {"cidr": NETWORKS[name], "mode": "nat"} for name in names},
        "nodes": {
            "controller": {"role": "controller", "nics": nics},
            **(
                {"compute": {"role": "compute", "count": computes, "nics": of_computes}}
                if computes
                else {}
            ),
        },
        "stack": {"installer": "devstack", "release": release, "network": "fabric", **stack},
    }
    path = directory / "tests.yaml"
    path.write_text(json.dumps(lab, indent=2))  # JSON is YAML
    return path


def load(directory: Path, **options: Any) -> Lab:  # noqa: ANN401
    """The lab that `write` writes, resolved."""
    return spec.load(write(directory, **options))


def render(lab: Lab) -> Mapping[str, Mapping[PurePosixPath, str]]:
    """Its files, with secrets that tell their own names."""
    return answers.render(lab, SECRETS)


def rendered(directory: Path, node: str = "controller", **options: Any) -> str:  # noqa: ANN401
    """One node's localrc or local.conf."""
    files = render(load(directory, **options))[node]
    return files.get(LOCALRC) or files[LOCAL_CONF]


def every_release() -> tuple[Release, ...]:
    """Every release of DevStack in the table."""
    return tuple(releases.of(Installer.DEVSTACK).values())


def every_mode() -> list[tuple[str, str]]:
    """Each release with each of its network modes."""
    return [(release.name, mode) for release in every_release() for mode in release.network_modes]


def every_driver() -> list[tuple[str, str]]:
    """Each release with each of its drivers."""
    return [(release.name, driver) for release in every_release() for driver in release.drivers]


def values(text: str) -> dict[str, str]:
    """The plain assignments of a localrc, the last of each name, as they are written."""
    found = (
        line.removeprefix("export ").partition("=") for line in text.splitlines() if "=" in line
    )
    return {name: value for name, _, value in found if name.isidentifier()}


def upper_half(network: str) -> IPv4Network:
    """The half that the nodes' addresses leave free."""
    return list(IPv4Network(NETWORKS[network]).subnets(1))[1]
