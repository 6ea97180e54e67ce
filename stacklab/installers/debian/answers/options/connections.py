"""Options by which services reach the database, the messages, OVN and each other."""

from __future__ import annotations

from collections.abc import Mapping

from stacklab.installers.debian.answers import ports, tls
from stacklab.installers.debian.answers.place import CloudPlace

REGION = "RegionOne"
_DATABASE_POOL = {
    "max_pool_size": 3,
    "max_overflow": 20,
    "connection_recycle_time": 600,
    "max_retries": -1,
}
# A service or agent counts as down after this long without a sign of life, in seconds. Neutron asks
# its agents for one twice as often. An emulated node is slow to give it.
_DOWN_AFTER_S = 300
_DOWN_AFTER_NATIVE_S = 75  # neutron's default
_RPC_TIMEOUT_S = 180
# The default. A compute whose report was lost with RabbitMQ reports again after it.
_RPC_TIMEOUT_NATIVE_S = 60


class Connections:
    """Options that several services of a node have."""

    def __init__(self, place: CloudPlace, secrets: Mapping[str, str]) -> None:
        self._place = place
        self._secrets = secrets

    @property
    def _down_after_s(self) -> int:
        return _DOWN_AFTER_S if self._place.is_vm else _DOWN_AFTER_NATIVE_S

    @property
    def _rpc_timeout_s(self) -> int:
        return _RPC_TIMEOUT_S if self._place.is_vm else _RPC_TIMEOUT_NATIVE_S

    def _database(self, name: str, user: str = "") -> dict[str, object]:
        user = user or name
        password = self._secrets[f"{user}_database_password"]
        place = self._at(ports.DATABASE)
        # Port and query are part of the templates by which nova finds its cells.
        url = f"mysql+pymysql://{user}:{password}@{place}/{name}?charset=utf8"
        return {"connection": url, **_DATABASE_POOL}

    def _messages_url(self) -> str:
        password = self._secrets["rabbit_password"]
        return f"rabbit://openstack:{password}@{self._at(ports.MESSAGES)}/"

    def _login(self, user: str) -> dict[str, object]:
        """Return how a service logs in at keystone."""
        return {
            "auth_type": "password",
            "auth_url": self._url(ports.KEYSTONE),
            "username": user,
            "password": self._secrets[f"{user}_password"],
            "project_name": "service",
            "project_domain_name": "Default",
            "user_domain_name": "Default",
            "region_name": REGION,
            **self._trust("cafile"),
        }

    def _token_check(self, user: str) -> dict[str, object]:
        """Return how a service has the tokens of its callers checked."""
        return {
            **self._login(user),
            "www_authenticate_uri": self._url(ports.KEYSTONE),
            "memcached_servers": self._at(ports.MEMCACHED),
            "service_token_roles": "service",
            "service_token_roles_required": True,
            "token_cache_time": 3600,
        }

    def _metadata(self) -> dict[str, Mapping[str, object]]:
        """Return the options of an agent that answers VMs with nova's metadata."""
        return {
            "DEFAULT": {
                "nova_metadata_host": self._place.controller,
                "metadata_proxy_shared_secret": self._secrets["metadata_secret"],
                "metadata_workers": 1,  # with 0 every guest is answered 504
                "state_path": "/var/lib/neutron",
            },
            "agent": {"root_helper": "", "report_interval": 30},  # it runs as root
        }

    def _at(self, port: int) -> str:
        return f"{self._place.controller}:{port}"

    def _url(self, port: int) -> str:
        return tls.api_url(self._place, port)

    def _trust(self, option: str) -> dict[str, object]:
        """Return the option that names the authority of the APIs' certificate, if they have one."""
        return {option: tls.AUTHORITY} if self._place.has_tls else {}

    def _behind_proxy(self) -> dict[str, Mapping[str, object]]:
        """Return how an API makes links that begin with https, since it hears plain HTTP itself."""
        if not self._place.has_tls:
            return {}
        return {"oslo_middleware": {"enable_proxy_headers_parsing": True}}


def oslo(project: str) -> dict[str, Mapping[str, object]]:
    """Return the options of the libraries that nova, neutron and cinder are made of."""
    return {
        "oslo_concurrency": {"lock_path": f"/var/lib/{project}/lock"},
        "oslo_messaging_rabbit": {"heartbeat_timeout_threshold": 120, "heartbeat_rate": 2},
        "oslo_messaging_notifications": {"driver": "noop"},
    }
