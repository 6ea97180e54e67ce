"""What kolla-ansible calls the secrets that other installers know by other names."""

from __future__ import annotations

from types import MappingProxyType

SECRET_ALIASES = MappingProxyType(
    {
        "admin_password": "keystone_admin_password",
        "rabbit_password": "rabbitmq_password",
        "metadata_password": "metadata_secret",
        "horizon_secret": "horizon_secret_key",
    }
)
