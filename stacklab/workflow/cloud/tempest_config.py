"""The file tempest.conf of a lab's cloud: what OpenStack's own tests have to know of it.

Source: tempest's `tempest/config.py`, and lib/tempest of DevStack. What is left out has a default.
"""

from __future__ import annotations

import configparser
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stacklab.model.lab import Lab, NodeKind

_WAIT_S = 300
_EMULATED_WAIT_S = 1800
_TENANT_CIDR = "10.98.0.0/20"


def render(
    lab: Lab,
    login: Mapping[str, Any],
    made: Mapping[str, str],
    workspace: Path,
    *,
    computes: int,
    has_volumes: bool,
) -> str:
    """Return the file. `login` is what openstack.connect takes, `made` the ids of what there is."""
    is_emulated = any(node.kind is NodeKind.VM for node in lab.nodes)
    wait_s = _EMULATED_WAIT_S if is_emulated else _WAIT_S
    sections: dict[str, dict[str, object]] = {
        "DEFAULT": {"debug": True, "log_file": workspace / "tempest.log"},
        **_identity(login),
        **_compute(made, computes, wait_s),
        **_network(made, wait_s),
        "service_available": {
            "cinder": has_volumes,
            "swift": False,
            "neutron": True,
            "glance": True,
            "nova": True,
            "horizon": False,
        },
        "oslo_concurrency": {"lock_path": workspace / "locks"},
        "volume": {"build_timeout": wait_s},
    }
    file = configparser.RawConfigParser()
    for section, options in sections.items():
        file[section] = {name: str(value) for name, value in options.items() if value != ""}
    text = io.StringIO()
    file.write(text)
    return text.getvalue()


def _identity(login: Mapping[str, Any]) -> dict[str, dict[str, object]]:
    auth = login["auth"]
    return {
        "auth": {
            "admin_username": auth["username"],
            "admin_password": auth["password"],
            "admin_project_name": auth["project_name"],
            "admin_domain_name": auth["user_domain_name"],
            "use_dynamic_credentials": True,
            "create_isolated_networks": True,
        },
        "identity": {
            "uri_v3": auth["auth_url"],
            "auth_version": "v3",
            "region": login["region_name"],
            "v3_endpoint_type": "public",
            "ca_certificates_file": login.get("cacert", ""),
        },
        "identity-feature-enabled": {"api_v2": False, "api_v3": True},
    }


def _compute(made: Mapping[str, str], computes: int, wait_s: int) -> dict[str, dict[str, object]]:
    return {
        "compute": {
            "image_ref": made["image"],
            "image_ref_alt": made["image"],
            "flavor_ref": made["flavor"],
            "flavor_ref_alt": made["larger_flavor"],
            "build_timeout": wait_s,
            "min_compute_nodes": computes,
        },
        "compute-feature-enabled": {
            "resize": True,
            "vnc_console": False,
            "personality": False,
            # It takes genisoimage, which no node of ours has.
            "config_drive": False,
        },
    }


def _network(made: Mapping[str, str], wait_s: int) -> dict[str, dict[str, object]]:
    return {
        "network": {
            "public_network_id": made["external"],
            "floating_network_name": made["external_name"],
            "project_network_cidr": _TENANT_CIDR,
            "project_networks_reachable": False,
            "build_timeout": wait_s,
        },
        "validation": {
            "run_validation": True,
            "connect_method": "floating",
            "image_ssh_user": "root",
            "ssh_timeout": wait_s,
            "ping_timeout": wait_s,
            "ip_version_for_ssh": 4,
        },
    }
