"""Options that kolla-ansible merges over its own: ini files in the deployer's /etc/kolla/config.

Its action merge_configs reads its own template, then <file>, then <service>/<host>/<file>;
a later file's option takes the place of an earlier one's. All of them go through Jinja2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType

from stacklab.errors import RenderError
from stacklab.installers.kit.roles import is_in_cloud
from stacklab.model.lab import Lab
from stacklab.model.stack import ConfigOption
from stacklab.words import suggest

ROOT = PurePosixPath("/etc/kolla/config")

Sections = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Places for the options of one file of a service: for all hosts, and for one.

    A place that does not exist is "".
    """

    plain: str
    own: str = ""


def _usual(service: str, file: str, plain: str = "") -> Override:
    return Override(plain=plain or file, own=f"{service}/{{host}}/{file}")


# As the roles' tasks/config.yml look for them, the same in 2025.1 to master.
_FILES: Mapping[str, Override] = MappingProxyType(
    {
        "nova.conf": _usual("nova", "nova.conf"),
        "nova-cpu.conf": Override(plain="nova/nova-compute.conf"),
        "keystone.conf": _usual("keystone", "keystone.conf"),
        "glance-api.conf": _usual("glance", "glance-api.conf", "glance/glance-api.conf"),
        "cinder.conf": _usual("cinder", "cinder.conf"),
        "heat.conf": _usual("heat", "heat.conf"),
        "placement.conf": _usual("placement", "placement.conf"),
        "zun.conf": _usual("zun", "zun.conf"),
        "neutron.conf": _usual("neutron", "neutron.conf"),
        "ml2_conf.ini": _usual("neutron", "ml2_conf.ini", "neutron/ml2_conf.ini"),
        "l3_agent.ini": _usual("neutron", "l3_agent.ini", "neutron/l3_agent.ini"),
        "dhcp_agent.ini": _usual("neutron", "dhcp_agent.ini", "neutron/dhcp_agent.ini"),
        "openvswitch_agent.ini": _usual(
            "neutron", "openvswitch_agent.ini", "neutron/openvswitch_agent.ini"
        ),
        "metadata_agent.ini": Override(plain="neutron/metadata_agent.ini"),
        "neutron_ovn_metadata_agent.ini": Override(plain="neutron/neutron_ovn_metadata_agent.ini"),
    }
)

# DevStack's variables for the same files, so that one spec's post_config does for both.
_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "NOVA_CONF": "nova.conf",
        "NOVA_CPU_CONF": "nova-cpu.conf",
        "KEYSTONE_CONF": "keystone.conf",
        "GLANCE_API_CONF": "glance-api.conf",
        "CINDER_CONF": "cinder.conf",
        "HEAT_CONF": "heat.conf",
        "PLACEMENT_CONF": "placement.conf",
        "ZUN_CONF": "zun.conf",
        "NEUTRON_CONF": "neutron.conf",
        "NEUTRON_CORE_PLUGIN_CONF": "ml2_conf.ini",
        "Q_L3_CONF_FILE": "l3_agent.ini",
        "Q_DHCP_CONF_FILE": "dhcp_agent.ini",
        "Q_META_CONF_FILE": "metadata_agent.ini",
        "OVN_META_CONF": "neutron_ovn_metadata_agent.ini",
    }
)


def overrides(lab: Lab) -> Mapping[PurePosixPath, Sections]:
    """Return every override file of a lab: overcommit first, then post_config, which wins."""
    files: dict[PurePosixPath, dict[str, dict[str, str]]] = {}
    for path, section, key, value in (*_overcommit(lab), *_post_config(lab)):
        files.setdefault(ROOT / path, {}).setdefault(section, {})[key] = value
    return files


def escaped(value: str) -> str:
    """Quote a value so that Jinja2 leaves it: kolla-ansible renders override files as templates."""
    return f"{{% raw %}}{value}{{% endraw %}}" if re.search(r"\{[{%#]", value) else value


def _overcommit(lab: Lab) -> Iterator[tuple[str, str, str, str]]:
    for resource in ("cpu", "ram", "disk"):
        ratio = getattr(lab.stack.overcommit, resource)
        if ratio is not None:
            yield "nova.conf", "DEFAULT", f"{resource}_allocation_ratio", f"{ratio:g}"


def _post_config(lab: Lab) -> Iterator[tuple[str, str, str, str]]:
    for option in lab.stack.post_config:
        for path in _places(lab, option, _override(option)):
            yield path, option.section, option.key, _checked(option)


def _override(option: ConfigOption) -> Override:
    name = PurePosixPath(option.file).name
    if name.startswith("$"):
        name = _VARIABLES.get(name[1:], name)
    if name not in _FILES:
        known = (*_FILES, *(f"${variable}" for variable in _VARIABLES))
        raise RenderError(
            f"stack.post_config: kolla-ansible does not merge options into {option.file}",
            hint=suggest(name, known, label="known"),
        )
    return _FILES[name]


def _places(lab: Lab, option: ConfigOption, override: Override) -> Iterable[str]:
    if option.role == "all":
        return (override.plain,)
    if not override.own:
        raise RenderError(
            f"stack.post_config.{option.role}: {option.file} is the same on all hosts of "
            f"kolla-ansible",
            hint=f"write it under stack.post_config.all: only hosts that run the service get "
            f"{option.file}",
        )
    hosts = (
        node.name for node in lab.nodes if is_in_cloud(lab, node) and str(node.role) == option.role
    )
    return tuple(override.own.format(host=host) for host in hosts)


def _checked(option: ConfigOption) -> str:
    if option.value != option.value.strip() or "{% endraw" in option.value:
        raise RenderError(
            f"stack.post_config: {option.file} [{option.section}] {option.key}: an ini file would "
            f"not keep this value",
            hint="no blanks around it, and no {% endraw",
        )
    return escaped(option.value)
