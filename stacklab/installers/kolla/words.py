"""What other installers share with kolla-ansible: names of secrets, and the place of logs."""

from __future__ import annotations

from pathlib import PurePosixPath
from types import MappingProxyType

LOGS = PurePosixPath("/var/log/kolla")  # every container's, by a volume that they share
# What other installers call a secret -> what kolla-ansible calls it.
SECRET_ALIASES = MappingProxyType(
    {
        "admin_password": "keystone_admin_password",
        "rabbit_password": "rabbitmq_password",
        "metadata_password": "metadata_secret",
        "horizon_secret": "horizon_secret_key",
    }
)
