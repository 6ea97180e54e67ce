"""Volumes: options of cinder, whose back ends are groups of LVM, one per volume type.

Each group is on a loop device, whose file grows with what is written into it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import PurePosixPath

from stacklab.installers.debian.answers import ports
from stacklab.installers.debian.answers.options.config import Sections
from stacklab.installers.debian.answers.options.connections import Connections, oslo
from stacklab.model.stack import Overcommit

SIZE_GIB = 8
CINDER_CONF = PurePosixPath("/etc/cinder/cinder.conf")
# An emulated node may need minutes to attach one.
_RPC_TIMEOUT_S = 600
# LVM is asked that often how full it is; with the default, a minute, half a vCPU would be gone.
_STATISTICS_S = 3600
# Of types' ids, so that they are the same at each start of the database.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "volume-types.stacklab")


def group_of(volume_type: str) -> str:
    """Return the name of the volume group of a type."""
    return f"cinder-{volume_type}"


def type_ids(volume_types: tuple[str, ...]) -> Mapping[str, str]:
    """Return the id of each volume type in cinder's database."""
    return {name: str(uuid.uuid5(_NAMESPACE, name)) for name in volume_types}


class VolumeOptions(Connections):
    """Options of cinder."""

    def cinder(self, overcommit: Overcommit) -> Sections:
        """Return cinder.conf."""
        types = self._place.volume_types
        sections: dict[str, Mapping[str, object]] = {
            "DEFAULT": {
                "state_path": "/var/lib/cinder",
                "my_ip": self._place.own,
                "transport_url": self._messages_url(),
                "rpc_response_timeout": _RPC_TIMEOUT_S,
                "auth_strategy": "keystone",
                "api_paste_config": "/etc/cinder/api-paste.ini",
                "glance_api_servers": self._url(ports.GLANCE),
                **self._trust("glance_ca_certificates_file"),
                "default_volume_type": types[0],
                "enabled_backends": ",".join(map(_section_of, types)),
                "report_interval": 30,
                "service_down_time": self._down_after_s,
                "periodic_interval": 300,
                "backend_stats_polling_interval": _STATISTICS_S,
                **({"allowed_direct_url_schemes": "file"} if self._place.has_direct_copy else {}),
            },
            "database": self._database("cinder"),
            "keystone_authtoken": self._token_check("cinder"),
            "service_user": {**self._login("cinder"), "send_service_user_token": True},
            "nova": self._login("nova"),
            **oslo("cinder"),
            **self._behind_proxy(),
        }
        for name in types:
            sections[_section_of(name)] = self._backend(name, overcommit)
        return sections

    def _backend(self, name: str, overcommit: Overcommit) -> Mapping[str, object]:
        options: dict[str, object] = {
            "volume_driver": "cinder.volume.drivers.lvm.LVMVolumeDriver",
            "volume_backend_name": name,
            "volume_group": group_of(name),
            "lvm_type": "default",
            "volume_clear": "none",
            "target_helper": "tgtadm",
            "target_protocol": "iscsi",
            "target_ip_address": self._place.own,
            "target_port": ports.ISCSI,
        }
        if overcommit.disk is not None and overcommit.disk > 1:
            # Only a thin pool can promise more than it has.
            options |= {"lvm_type": "thin", "max_over_subscription_ratio": overcommit.disk}
        return options


def _section_of(volume_type: str) -> str:
    """Return the section of a back end: a type may be called as another section is."""
    return f"lvm-{volume_type}"
