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
    own: str = ""  # with {host} in it


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """An option in one override file, whose path is below the root."""

    path: str
    section: str
    key: str
    value: str


def _usual_places(service: str, file: str, plain: str = "") -> Override:
    """Return the places of most roles' files: the plain one, and one for each host."""
    return Override(plain=plain or file, own=f"{service}/{{host}}/{file}")


# As the roles' tasks/config.yml look for them, the same in 2025.1 to master.
_FILES: Mapping[str, Override] = MappingProxyType(
    {
        "nova.conf": _usual_places("nova", "nova.conf"),
        "nova-cpu.conf": Override(plain="nova/nova-compute.conf"),
        "keystone.conf": _usual_places("keystone", "keystone.conf"),
        "glance-api.conf": _usual_places("glance", "glance-api.conf", "glance/glance-api.conf"),
        "cinder.conf": _usual_places("cinder", "cinder.conf"),
        "heat.conf": _usual_places("heat", "heat.conf"),
        "placement.conf": _usual_places("placement", "placement.conf"),
        "zun.conf": _usual_places("zun", "zun.conf"),
        "neutron.conf": _usual_places("neutron", "neutron.conf"),
        "ml2_conf.ini": _usual_places("neutron", "ml2_conf.ini", "neutron/ml2_conf.ini"),
        "l3_agent.ini": _usual_places("neutron", "l3_agent.ini", "neutron/l3_agent.ini"),
        "dhcp_agent.ini": _usual_places("neutron", "dhcp_agent.ini", "neutron/dhcp_agent.ini"),
        "openvswitch_agent.ini": _usual_places(
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


def override_files(lab: Lab) -> Mapping[PurePosixPath, Sections]:
    """Return every override file of a lab: overcommit first, then post_config, which wins."""
    files: dict[PurePosixPath, dict[str, dict[str, str]]] = {}
    for setting in (*_set_overcommit(lab), *_set_post_config(lab)):
        sections = files.setdefault(ROOT / setting.path, {})
        options = sections.setdefault(setting.section, {})
        options[setting.key] = setting.value
    return files


def escape_templates(value: str) -> str:
    """Quote a value so that Jinja2 leaves it: kolla-ansible renders override files as templates."""
    if re.search(r"\{[{%#]", value):
        return f"{{% raw %}}{value}{{% endraw %}}"
    return value


def _set_overcommit(lab: Lab) -> Iterator[_Setting]:
    """Yield nova's ratios, for which kolla-ansible has no variables."""
    for resource in ("cpu", "ram", "disk"):
        ratio = getattr(lab.stack.overcommit, resource)
        if ratio is not None:
            yield _Setting(
                path="nova.conf",
                section="DEFAULT",
                key=f"{resource}_allocation_ratio",
                value=f"{ratio:g}",
            )


def _set_post_config(lab: Lab) -> Iterator[_Setting]:
    """Yield the spec's own options, for all hosts or for those of one role."""
    for option in lab.stack.post_config:
        override = _find_override(option)
        for path in _places_of_option(lab, option, override):
            yield _Setting(
                path=path,
                section=option.section,
                key=option.key,
                value=_check_value(option),
            )


def _find_override(option: ConfigOption) -> Override:
    """Return where a file's options go; raises RenderError for a file that is not merged."""
    # /etc/nova/nova.conf and nova.conf are the same file to whoever writes a spec.
    name = PurePosixPath(option.file).name
    if name.startswith("$"):
        name = _VARIABLES.get(name[1:], name)
    if name not in _FILES:
        variables = [f"${variable}" for variable in _VARIABLES]
        raise RenderError(
            f"stack.post_config: kolla-ansible does not merge options into {option.file}",
            hint=suggest(name, (*_FILES, *variables), label="known"),
        )
    return _FILES[name]


def _places_of_option(lab: Lab, option: ConfigOption, override: Override) -> Iterable[str]:
    """Return the files that an option goes into, below the root."""
    if option.role == "all":
        return (override.plain,)
    if not override.own:
        raise RenderError(
            f"stack.post_config.{option.role}: {option.file} is the same on all hosts of "
            f"kolla-ansible",
            hint=(
                "write it under stack.post_config.all: only hosts that run the service get "
                f"{option.file}"
            ),
        )
    # Roles have no directory of their own there: an option of a role is one of each of its hosts.
    nodes = [node for node in lab.nodes if is_in_cloud(lab, node)]
    hosts = [node.name for node in nodes if str(node.role) == option.role]
    return tuple(override.own.format(host=host) for host in hosts)


def _check_value(option: ConfigOption) -> str:
    """Return a value as the file has it; raises RenderError if an ini file would change it."""
    # Blanks at the ends are cut off by the parser; an endraw would end the quoting too early.
    if option.value != option.value.strip() or "{% endraw" in option.value:
        raise RenderError(
            f"stack.post_config: {option.file} [{option.section}] {option.key}: an ini file would "
            f"not keep this value",
            hint="no blanks around it, and no {% endraw",
        )
    return escape_templates(option.value)
