"""Options of OpenStack's services: one function per file, one place per option.

What is not here keeps the release's default. Time limits are long, and periodic tasks rare,
because an emulated node runs Python ten times slower.
"""

from __future__ import annotations

from collections.abc import Mapping

from stacklab.installers.debian.answers import ports
from stacklab.installers.debian.answers.options.config import Sections, merged
from stacklab.installers.debian.answers.options.connections import Connections, oslo
from stacklab.model.stack import Overcommit

# What computes log in to each other with, as nova, to move VMs; install.sh puts it there.
NOVA_KEY = "/var/lib/nova/.ssh/id_ed25519"
# Privileged helpers without a rootwrap, which would be one more Python each.
_HELPER = {"helper_command": "sudo /usr/bin/privsep-helper --config-file /etc/nova/nova.conf"}
# What the services of a role take, in MiB.
_COMPUTE_MIB = 256
_CONTROLLER_MIB = 2048


class Options(Connections):
    """Options of a node's services, but for cinder's and those of neutron's backend."""

    def keystone(self) -> Sections:
        """Return keystone.conf."""
        return {
            "database": self._database("keystone"),
            # As rounds of bcrypt, for users that are made later: 12, the default, take seconds.
            "identity": {"password_hash_rounds": 4},
            "cache": {
                "enabled": True,
                "backend": "oslo_cache.memcache_pool",
                "memcache_servers": self._at(ports.MEMCACHED),
            },
            "token": {"provider": "fernet", "expiration": 86400},
            "fernet_tokens": {"max_active_keys": 3},
            "oslo_middleware": {"enable_proxy_headers_parsing": True},
            "oslo_policy": {"policy_dirs": "/etc/keystone/policy.d"},
        }

    def glance(self) -> Sections:
        """Return glance-api.conf."""
        return {
            "DEFAULT": {
                "enabled_backends": "fs:file",
                "show_multiple_locations": True,
                "show_image_direct_url": True,
            },
            "database": self._database("glance"),
            "glance_store": {"default_backend": "fs"},
            "fs": {"filesystem_store_datadir": "/var/lib/glance/images/"},
            "keystone_authtoken": self._token_check("glance"),
            "paste_deploy": {"flavor": "keystone"},
            "oslo_concurrency": {"lock_path": "/var/lib/glance/lock"},
            **self._behind_proxy(),
        }

    def placement(self) -> Sections:
        """Return placement.conf."""
        return {
            "api": {"auth_strategy": "keystone"},
            "placement_database": self._database("placement"),
            "keystone_authtoken": self._token_check("placement"),
            **self._behind_proxy(),
        }

    def nova(self, overcommit: Overcommit) -> Sections:
        """Return nova.conf of a controller, of a compute, or of a node that is both."""
        sections = self._nova_everywhere()
        if self._place.is_controller:
            sections = merged(sections, self._nova_controller())
        if self._place.has_compute:
            sections = merged(sections, self._nova_compute(overcommit))
        if self._place.volume_types:
            sections = merged(sections, self._nova_volumes())
        return sections

    def neutron(self) -> Sections:
        """Return neutron.conf, as it is with any backend."""
        sections: dict[str, Mapping[str, object]] = {
            "DEFAULT": {
                "state_path": "/var/lib/neutron",
                "transport_url": self._messages_url(),
                "core_plugin": "ml2",
                "auth_strategy": "keystone",
                "bind_host": self._place.api_listen,
                "api_workers": 1,
                "rpc_workers": 1,
                "rpc_state_report_workers": 0,
                "agent_down_time": self._down_after_s,
                "rpc_response_timeout": self._rpc_timeout_s,
                "notify_nova_on_port_status_changes": True,
                "notify_nova_on_port_data_changes": True,
                "dns_domain": "lab.",
                "global_physnet_mtu": self._place.data_nic.mtu,
                "api_paste_config": "/etc/neutron/api-paste.ini",
            },
            "agent": {"root_helper": "sudo /usr/bin/neutron-rootwrap /etc/neutron/rootwrap.conf"},
            "keystone_authtoken": self._token_check("neutron"),
            "nova": self._login("nova"),
            "oslo_policy": {"policy_dirs": "/etc/neutron/policy.d"},
            **oslo("neutron"),
            **self._behind_proxy(),
        }
        if self._place.is_controller:
            sections["database"] = self._database("neutron")
        return sections

    def _nova_everywhere(self) -> Sections:
        place = self._place
        return {
            "DEFAULT": {
                "state_path": "/var/lib/nova",
                "my_ip": place.own,
                "transport_url": self._messages_url(),
                "rpc_response_timeout": self._rpc_timeout_s,
                "service_down_time": self._down_after_s,
                "report_interval": 60 if self._place.is_vm else 10,
                # By default the scheduler maps computes up to a minute after its start.
                "periodic_fuzzy_delay": 0,
            },
            "api": {"auth_strategy": "keystone"},
            "keystone_authtoken": self._token_check("nova"),
            "service_user": {**self._login("nova"), "send_service_user_token": True},
            "placement": self._login("placement"),
            "glance": {"api_servers": self._url(ports.GLANCE), **self._trust("cafile")},
            "neutron": {
                **self._login("neutron"),
                "service_metadata_proxy": True,
                "metadata_proxy_shared_secret": self._secrets["metadata_secret"],
                "http_retries": 3,
                "timeout": 300,
            },
            "vnc": {
                "enabled": True,
                "server_listen": place.own,
                "server_proxyclient_address": place.own,
                "novncproxy_base_url": f"{self._url(ports.NOVNCPROXY)}/vnc_lite.html",
                "novncproxy_host": place.api_listen,
            },
            "spice": {"enabled": False},
            **oslo("nova"),
        }

    def _nova_volumes(self) -> Sections:
        return {
            "cinder": {**self._login("cinder"), "catalog_info": "volumev3::internalURL"},
            "privsep_osbrick": _HELPER,
        }

    def _nova_controller(self) -> Sections:
        return {
            "DEFAULT": {
                "enabled_apis": "osapi_compute,metadata",
                "osapi_compute_listen": self._place.api_listen,
                # Never by TLS: agents sign what they ask it.
                "metadata_listen": self._place.own,
                "osapi_compute_workers": 1,
                "metadata_workers": 1,
            },
            "api": self._metadata_cache(),
            "database": self._database("nova"),
            "api_database": self._database("nova_api", user="nova"),
            # Computes are mapped to the cell by the scheduler, so that no command has to be run.
            "scheduler": {
                "workers": 1,
                "discover_hosts_in_cells_interval": 15 if self._place.is_vm else 3,
            },
            "conductor": {"workers": 1},
            **self._behind_proxy(),
        }

    def _metadata_cache(self) -> Mapping[str, object]:
        """Return how long nova-api keeps what it told a VM of itself: 15 s, if nothing is said.

        Under emulation it finds that out in a minute, when the VM has stopped waiting. The next
        request is then answered from what is kept.
        """
        return {"metadata_cache_expiration": 120} if self._place.is_vm else {}

    def _nova_compute(self, overcommit: Overcommit) -> Sections:
        ratios = allocation_ratios(overcommit)
        return {
            "DEFAULT": {
                "compute_driver": "libvirt.LibvirtDriver",
                # Neutron may need minutes to hear from OVN that a port is up.
                "vif_plugging_timeout": 900 if self._place.is_vm else 300,
                "force_raw_images": False,
                # For a VM that does not listen when it is asked to shut down, as at a resize.
                "shutdown_timeout": 10,
                "reserved_host_memory_mb": self._reserved_mib,
                "cpu_allocation_ratio": ratios["VCPU"],
                "ram_allocation_ratio": ratios["MEMORY_MB"],
                "disk_allocation_ratio": ratios["DISK_GB"],
                "sync_power_state_interval": -1,
                "heal_instance_info_cache_interval": -1,
                "update_resources_interval": 120,
                "bandwidth_poll_interval": -1,
                "shelved_poll_interval": -1,
                "running_deleted_instance_poll_interval": 0,
                "volume_usage_poll_interval": 0,
                "instance_build_timeout": 0,
                "resume_guests_state_on_host_boot": True,
            },
            "libvirt": {
                "virt_type": "kvm" if self._place.is_vm else "qemu",
                "cpu_mode": "none",
                "inject_partition": -2,
                "disk_cachemodes": '"file=unsafe,block=none"',
                "hw_machine_type": "x86_64=pc",
                # libvirtd logs in at another compute as nova does: see install.sh.
                "live_migration_uri": f"qemu+ssh://nova@%s/system?keyfile={NOVA_KEY}&no_tty=1",
                "live_migration_inbound_addr": self._place.own,
            },
            "image_cache": {"manager_interval": -1},
            "nova_sys_admin": _HELPER,
            "vif_plug_ovs_privileged": _HELPER,
        }

    @property
    def _reserved_mib(self) -> int:
        """Return the memory of a compute that tenants' VMs can't have."""
        return _CONTROLLER_MIB + _COMPUTE_MIB if self._place.is_controller else _COMPUTE_MIB


def allocation_ratios(overcommit: Overcommit) -> Mapping[str, float]:
    """Return how often a compute gives each of its resources away, by placement's names."""
    return {
        "VCPU": _or_default(overcommit.cpu, 16.0),
        "MEMORY_MB": _or_default(overcommit.ram, 1.5),
        "DISK_GB": _or_default(overcommit.disk, 1.0),
    }


def _or_default(value: float | None, default: float) -> float:
    return default if value is None else value
