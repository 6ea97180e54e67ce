"""The half of instances.yaml for kolla-ansible: OpenSDN's patched one, or OpenStack's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType

from stacklab.errors import RenderError
from stacklab.installers.kit.addresses import address, api_address
from stacklab.model.lab import Lab, Node
from stacklab.model.release import Release
from stacklab.model.release_names import operating_system
from stacklab.model.stack import ConfigOption, Role
from stacklab.stages.stage import Step

PATCHED, VANILLA = "patched", "vanilla"

# What a stock cloud asks for. The deployer fills in one and the same well-known word for whatever
# is left out, so nothing may be; what belongs to services that are off is nobody's password.
PASSWORDS = (
    "keystone_admin_password",
    "keystone_database_password",
    "database_password",
    "mariadb_backup_database_password",
    "rabbitmq_password",
    "rabbitmq_monitoring_password",
    "rabbitmq_cluster_cookie",
    "memcache_secret_key",
    "metadata_secret",
    "horizon_secret_key",
    "horizon_database_password",
    "glance_keystone_password",
    "glance_database_password",
    "placement_keystone_password",
    "placement_database_password",
    "nova_keystone_password",
    "nova_database_password",
    "nova_api_database_password",
    "neutron_keystone_password",
    "neutron_database_password",
    "heat_keystone_password",
    "heat_database_password",
    "heat_domain_admin_password",
)

_PLUGIN_VOLUME = ("opensdn:/opt/plugin/",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavour:
    """A choice of OpenStack: its release, and how it is installed."""

    mode: str
    openstack: str
    ansible: str  # what pip is told
    base_distro: str  # of kolla's containers; the plugins are put into its Python

    @property
    def playbook(self) -> str:
        """Return the deployer's playbook for it."""
        return "install_vanilla_openstack" if self.mode == VANILLA else "install_openstack"

    @property
    def finish(self) -> tuple[str, ...]:
        """Return the playbooks that run after OpenSDN's; a patched kolla needs none."""
        return ("config_openstack",) if self.mode == VANILLA else ()


def flavour(lab: Lab, release: Release) -> Flavour:
    """Choose mode and OpenStack's release.

    Raises RenderError for a pair that does not exist, or does not work on these images.
    """
    mode = lab.stack.kolla_mode or release.text("kolla_mode")
    openstack = _choose_openstack(lab, release, mode)
    systems = _systems(release, openstack)
    images = _images(lab)
    if systems.isdisjoint(images):
        wrong = f"kolla-ansible of {openstack} is not for {' or '.join(sorted(images))}"
        hint = f"image: {' or '.join(sorted(systems))}; or {_suggest_pair(lab, release)}"
        raise RenderError(f"stack.openstack: {wrong}", hint=hint)
    return Flavour(
        mode=mode,
        openstack=openstack,
        ansible=release.mapping("ansible")[openstack],
        base_distro=release.mapping("base_distro")[openstack],
    )


def _choose_openstack(lab: Lab, release: Release, mode: str) -> str:
    """Return the spec's OpenStack, or the release's default; raises RenderError if unknown."""
    title = f"OpenSDN {release.name}"
    known = known_openstacks(release, mode)
    if not known:
        raise RenderError(
            f"stack.kolla_mode: {title} cannot install kolla in mode {mode}",
            hint=_suggest_pair(lab, release),
        )
    openstack = lab.stack.openstack
    if not openstack:
        # The default is for one mode; the other has its newest.
        default = release.text("openstack")
        return default if default in known else known[-1]
    if openstack not in known:
        wrong = f"{title} brings OpenStack {', '.join(known)} by {mode} kolla, not {openstack}"
        raise RenderError(
            f"stack.openstack: {wrong}",
            hint=_suggest_pair(lab, release, openstack),
        )
    return openstack


def known_openstacks(release: Release, mode: str) -> tuple[str, ...]:
    """Return the releases of OpenStack that a mode can install, oldest first."""
    if mode == PATCHED:
        return release.words("patched")
    # Its plugins are put into a directory of one Python, and that of other containers is not there.
    pythons = release.mapping("base_python")
    right_python = release.text("vanilla_python")
    return tuple(name for name in release.mapping("vanilla") if pythons[name] == right_python)


def _images(lab: Lab) -> set[str]:
    return {operating_system(image) for image in lab.images}


def _systems(release: Release, openstack: str) -> set[str]:
    """Return the systems on which its kolla-ansible works.

    On later Pythons not even the Ansible of its time works.
    """
    return set(release.mapping("systems")[openstack].split("+"))


def _suggest_pair(lab: Lab, release: Release, openstack: str = "") -> str:
    """Return what to write instead: the best pair for the lab's image and OpenStack."""
    images = _images(lab)

    def rank_pair(pair: tuple[str, str]) -> tuple[bool, bool]:
        _mode, name = pair
        is_other_openstack = name != openstack
        is_other_image = _systems(release, name).isdisjoint(images)
        return is_other_openstack, is_other_image

    pairs: list[tuple[str, str]] = []
    for mode in (VANILLA, PATCHED):
        pairs += [(mode, name) for name in reversed(known_openstacks(release, mode))]
    # Of equals, the first: the newest OpenStack, and a vanilla one.
    best_mode, best_name = min(pairs, key=rank_pair)
    return f'write kolla_mode: {best_mode} with openstack: "{best_name}"'


def global_variables(lab: Lab, flavour: Flavour) -> Mapping[str, str | tuple[str, ...]]:
    """Return kolla_globals: each replaces a default of the deployer or of kolla."""
    variables: dict[str, str | tuple[str, ...]] = {
        "kolla_base_distro": flavour.base_distro,
        # one control plane of OpenStack: nothing to balance, and no address to spare
        "enable_haproxy": "no",
        "kolla_internal_address": str(api_address(lab)),
        "nova_compute_virt_type": "qemu",  # a VM in a VM: KVM need not be there
        "openstack_service_workers": "1",
        "enable_barbican": "no",  # the deployer says yes, and gives it a key that is none
        "enable_fluentd": "no",
    }
    if flavour.mode == VANILLA:
        # A word that kolla does not know: it configures no agent.
        variables["neutron_plugin_agent"] = "opensdn"
        for service in ("neutron_server", "nova_compute", "heat_engine"):
            variables[f"{service}_extra_volumes"] = _PLUGIN_VOLUME
    return variables


def customize(lab: Lab, flavour: Flavour) -> Mapping[str, str]:
    """Return kolla_config.customize: ini files that kolla merges into the services' own."""
    # File -> section -> key -> value.
    files: dict[str, dict[str, dict[str, str]]] = {}

    def put(file: str, section: str, key: str, value: str) -> None:
        files.setdefault(file, {}).setdefault(section, {})[key] = value

    if flavour.mode == VANILLA:
        # The deployer writes these where instances run, but nova-api, which reads them, is on the
        # controller.
        put("nova.conf", "oslo_policy", "enforce_new_defaults", "False")
        put("nova.conf", "oslo_policy", "enforce_scope", "False")
    ratios = lab.stack.overcommit
    for name, ratio in (("cpu", ratios.cpu), ("ram", ratios.ram), ("disk", ratios.disk)):
        if ratio is not None:
            put("nova.conf", "DEFAULT", f"{name}_allocation_ratio", f"{ratio:g}")
    # The spec's own options last: they win.
    for option in lab.stack.post_config:
        keys = (option.role, option.file, option.section, option.key)
        check_plain(f"stack.post_config.{'.'.join(keys)}", option.value)
        for file in _files_of_option(lab, option):
            put(file, option.section, option.key, option.value)
    return {file: _format_ini(sections) for file, sections in sorted(files.items())}


def check_plain(where: str, value: str) -> None:
    """Raise RenderError for a value that Ansible, or a block of YAML, would not leave as it is."""
    is_template = any(mark in value for mark in ("{{", "{%", "{#"))
    if is_template:
        raise RenderError(
            f"{where}: Ansible takes {{{{, {{% and {{# for its own",
            hint="write what they stand for",
        )
    if not value.isprintable():
        raise RenderError(
            f"{where}: it has characters that cannot be seen", hint="write blanks, and one line"
        )


def _files_of_option(lab: Lab, option: ConfigOption) -> tuple[str, ...]:
    """Return where kolla looks for it: NAME.conf for all nodes, SERVICE/HOST/NAME.conf for one."""
    path = PurePosixPath(option.file)
    if len(path.parts) != 4 or path.parts[:2] != ("/", "etc"):
        raise RenderError(
            f"stack.post_config.{option.role}: kolla does not have a file {option.file!r}",
            hint="write /etc/SERVICE/FILE, e.g. /etc/nova/nova.conf",
        )
    if option.role == "all":
        return (path.name,)
    service = path.parts[2]
    files = []
    for node in lab.nodes:
        # A node of role `node` is not in the cloud, and kolla does not know it.
        if node.role is not Role.NODE and str(node.role) == option.role:
            files.append(f"{service}/{address(lab, node)}/{path.name}")
    return tuple(files)


def _format_ini(sections: Mapping[str, Mapping[str, str]]) -> str:
    lines = []
    for name, options in sections.items():
        lines.append(f"[{name}]")
        for key, value in options.items():
            lines.append(f"{key} = {value}")
    return "\n".join(lines) + "\n"


# How a vanilla kolla is mended. Its role takes for granted that every password is the well-known
# one, and that nova-api is on every compute; see the release's bugs.
_ADMIN = "{{ hostvars['localhost'].contrail_configuration.KEYSTONE_AUTH_ADMIN_PASSWORD }}"
_NEUTRON_INI = "playbooks/roles/neutron/templates/ContrailPlugin.ini.j2"
_NEUTRON_SH = "playbooks/roles/neutron/files/config_opensdn.sh"
_NOVA_SH = "playbooks/roles/nova/files/config_opensdn.sh"
_MENDS = MappingProxyType(
    {
        "admin-password": (
            "log neutron's plugin in with the lab's password",
            f'sed -i "s/^admin_password = contrail123$/admin_password = {_ADMIN}/" {_NEUTRON_INI}',
            f"! grep -qx 'admin_password = contrail123' {_NEUTRON_INI}",
        ),
        "neutron-passwords": (
            "leave neutron's passwords as they are",
            'sed -i \'/"password = contrail123"/,/^fi$/d; '
            f'/"memcache_secret_key = contrail123"/,/^fi$/d\' {_NEUTRON_SH}',
            f"! grep -q contrail123 {_NEUTRON_SH}",
        ),
        "nova-api-on-computes": (
            "pass over the services of nova that a node has not",
            f"sed -i 's/^do$/do test -e \"$nova_conf\" || continue/' {_NOVA_SH}",
            f"! grep -qx do {_NOVA_SH}",
        ),
    }
)


def mends(node: Node, flavour: Flavour, release: Release, clone: PurePosixPath) -> Iterator[Step]:
    """Yield changes to the deployer's clone, for those bugs that the release has."""
    if flavour.mode != VANILLA:
        return
    for word in release.words("vanilla_mends"):
        title, command, done = _MENDS[word]
        yield Step(
            node=node.name,
            title=title,
            command=f"cd {clone} && {command}",
            done=f"cd {clone} && {done}",
        )
