"""Files of every node: they are placed in a folder of `stack`, and install.sh copies them.

The folder holds each file under its path on the node; owners and modes are in install.sh.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from stacklab.errors import RenderError
from stacklab.installers.debian.answers import dashboard, forms, ports, services, tls
from stacklab.installers.debian.answers import service as names
from stacklab.installers.debian.answers.backends import backend_of
from stacklab.installers.debian.answers.options import volumes
from stacklab.installers.debian.answers.options.config import ConfigFile, Sections, ini_file, merged
from stacklab.installers.debian.answers.options.openstack import NOVA_KEY, Options
from stacklab.installers.debian.answers.options.volumes import CINDER_CONF, VolumeOptions
from stacklab.installers.debian.answers.place import (
    PHYSICAL_NETWORK,
    CloudPlace,
    left_out,
    place_of,
)
from stacklab.installers.debian.answers.service import Service
from stacklab.installers.kit.git import CLONES
from stacklab.installers.kit.request import Rendered, Request
from stacklab.model.lab import Lab, Node
from stacklab.words import suggest

FOLDER = CLONES / "cloud"
INSTALL = FOLDER / "install.sh"
_QEMU = FOLDER / "qemu-system-x86_64"

# Each has a database user and a user of keystone with the same name.
_SERVICE_USERS = ("glance", "placement", "nova", "neutron", "cinder")
_DATABASE_USERS = ("keystone", *_SERVICE_USERS)
_KEYSTONE_USERS = ("admin", *_SERVICE_USERS)
_KEY_REPOSITORIES = ("fernet", "credential")
_UNITS = PurePosixPath("/etc/systemd/system")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pause:
    """What lies between two looks at what is waited for; a unit's also takes systemd's time."""

    of_port_s: float
    of_unit_s: float


# A dozen waiters must not slow down an emulated node.
_EMULATED = _Pause(of_port_s=2, of_unit_s=5)
_NATIVE = _Pause(of_port_s=0.5, of_unit_s=0.5)


# What post_config calls the files, beside their paths.
_VARIABLES = {
    "$KEYSTONE_CONF": "/etc/keystone/keystone.conf",
    "$GLANCE_API_CONF": "/etc/glance/glance-api.conf",
    "$PLACEMENT_CONF": "/etc/placement/placement.conf",
    "$NOVA_CONF": "/etc/nova/nova.conf",
    "$NEUTRON_CONF": "/etc/neutron/neutron.conf",
    "$CINDER_CONF": str(CINDER_CONF),
}


def secret_names(lab: Lab) -> tuple[str, ...]:
    """Return the names of a lab's secrets."""
    return (
        *(f"{user}_password" for user in _KEYSTONE_USERS),
        *(f"{user}_database_password" for user in _DATABASE_USERS),
        "rabbit_password",
        "metadata_secret",
        *(f"{repository}_secret" for repository in _KEY_REPOSITORIES),
        *tls.secret_names(lab),
        *dashboard.secret_names(lab),
    )


def shaped_secrets(_lab: Lab, secrets: Mapping[str, str]) -> Mapping[str, str]:
    """Return the secrets that stand in a file in another form: keystone's passwords, its keys."""
    shaped = dict(tls.shaped_secrets(secrets))
    for user in _KEYSTONE_USERS:
        name = f"{user}_password"
        if name in secrets:
            shaped[name] = forms.password_hash(user, secrets[name])
    for repository in _KEY_REPOSITORIES:
        name = f"{repository}_secret"
        if name in secrets:
            shaped[name] = forms.fernet_key(secrets[name])
    return shaped


def render(request: Request) -> Rendered:
    """Render the files of every controller and compute; a bystander gets none."""
    rendered: dict[str, Mapping[PurePosixPath, str]] = {}
    for node in request.lab.nodes:
        place = place_of(request.lab, node)
        rendered[node.name] = _render_node(request, node, place) if place else {}
    return rendered


def _render_node(request: Request, node: Node, place: CloudPlace) -> Mapping[PurePosixPath, str]:
    config = _ini_files(request, node, place)
    config |= _texts(request, node, place)
    config |= _units(request, node, place)
    files = {FOLDER / str(path).lstrip("/"): file.text for path, file in config.items()}
    if place.has_compute and place.has_userspace_datapath:
        files[_QEMU] = request.render("kit/qemu.sh.j2", node)
    files[INSTALL] = request.render(
        "debian/install.sh.j2",
        node,
        folder=FOLDER,
        files=config,
        place=place,
        nova_key=NOVA_KEY,
        targets=services.targets(place),
    )
    return files


def _ini_files(request: Request, node: Node, place: CloudPlace) -> dict[PurePosixPath, ConfigFile]:
    """Return the services' own files, with the options of the spec's post_config."""
    options = Options(place, request.secrets)
    sections: dict[str, tuple[Sections, str]] = {
        "/etc/nova/nova.conf": (options.nova(request.lab.stack.overcommit), "nova"),
        "/etc/neutron/neutron.conf": (options.neutron(), "neutron"),
    }
    if place.is_controller:
        sections["/etc/keystone/keystone.conf"] = (options.keystone(), "keystone")
        sections["/etc/glance/glance-api.conf"] = (options.glance(), "glance")
        sections["/etc/placement/placement.conf"] = (options.placement(), "placement")
        if place.volume_types:
            cinder = VolumeOptions(place, request.secrets).cinder(request.lab.stack.overcommit)
            sections[str(CINDER_CONF)] = (cinder, "cinder")
    for path, more in backend_of(request.lab).options(place, request.secrets).all_files().items():
        own, group = sections.get(path, ({}, "neutron"))
        sections[path] = (merged(own, more), group)
    wanted = _post_config(request, node, tuple(sections))
    files = {}
    for path, (own, group) in sections.items():
        files[PurePosixPath(path)] = ini_file(merged(own, wanted.get(path, {})), group)
    return files


def _post_config(
    request: Request, node: Node, paths: tuple[str, ...]
) -> Mapping[str, dict[str, dict[str, object]]]:
    """Return the spec's own options by file; raises RenderError for a file that is not ours."""
    wanted: dict[str, dict[str, dict[str, object]]] = {}
    for option in request.lab.stack.post_config_for(node.role):
        path = _VARIABLES.get(option.file, option.file)
        if path == str(CINDER_CONF) and left_out(request.lab):
            continue
        if path not in paths:
            known = (*_VARIABLES, *paths)
            raise RenderError(
                f"stack.post_config: {node.name} does not have {option.file}",
                hint=suggest(option.file, known, label="its files"),
            )
        section = wanted.setdefault(path, {}).setdefault(option.section, {})
        section[option.key] = option.value
    return wanted


def _texts(request: Request, node: Node, place: CloudPlace) -> dict[PurePosixPath, ConfigFile]:
    """Return the files of other forms: of the database, the messages, keys and scripts."""
    context = {"place": place, "ports": ports}
    backend = backend_of(request.lab)
    files: dict[str, ConfigFile] = {
        "/usr/local/sbin/stacklab-wait": ConfigFile(
            text=request.render(
                "debian/wait.sh.j2",
                node,
                pause=_EMULATED if place.is_vm else _NATIVE,
                authority=tls.AUTHORITY if place.has_tls else "",
            ),
            mode=0o755,
        ),
        "/usr/local/sbin/stacklab-bridges": ConfigFile(
            text=request.render(
                backend.bridges_script,
                node,
                datapath="netdev" if place.has_userspace_datapath else "system",
                physical_network=PHYSICAL_NETWORK,
                **context,
            ),
            mode=0o755,
        ),
    }
    for path, text in backend.texts(place, node).items():
        files[path] = ConfigFile(text=text)
    # Helpers with root's rights are Pythons of their own: see the units' Environment.
    files["/etc/sudoers.d/stacklab-imports"] = ConfigFile(
        text=f'Defaults env_keep += "{" ".join(services.LESS_TO_IMPORT)}"\n', mode=0o440
    )
    files |= dict(_networkd_files(request, node, place))
    files |= tls.texts(request, node, place)
    if place.external_nic and backend.announces_gateway:
        files["/usr/local/sbin/stacklab-gateway"] = ConfigFile(
            text=request.render(
                "debian/gateway.sh.j2", node, physical_network=PHYSICAL_NETWORK, **context
            ),
            mode=0o755,
        )
    if place.has_compute:
        # It must differ from node to node, so that the image can't have it.
        files["/etc/iscsi/initiatorname.iscsi"] = ConfigFile(
            text=f"InitiatorName=iqn.2026-11.stacklab:{request.lab.name}:{node.name}\n", mode=0o600
        )
        # libvirtd would end after two minutes without a client.
        files["/etc/default/libvirtd"] = ConfigFile(text='LIBVIRTD_ARGS=""\n')
    if place.is_controller and place.volume_types:
        files |= _volume_texts(request, node, place)
    if place.is_controller:
        files |= _controller_texts(request, node, place, context)
    return {PurePosixPath(path): file for path, file in files.items()}


def _networkd_files(
    request: Request, node: Node, place: CloudPlace
) -> Iterator[tuple[str, ConfigFile]]:
    """Yield files for the NICs that are ports of bridges; they sort before the seed's."""
    ported = []
    if place.external_nic:
        ported.append((place.external_nic, "br-ex"))
    if place.has_tunnel_bridge:
        ported.append((place.data_nic, "br-tunnel"))
    for nic, bridge in ported:
        text = request.render(
            "debian/wired.network.j2", node, device=nic.device, mtu=nic.mtu, bridge=bridge
        )
        yield f"/etc/systemd/network/05-{nic.device}.network", ConfigFile(text=text)


def _controller_texts(
    request: Request, node: Node, place: CloudPlace, context: Mapping[str, object]
) -> Mapping[str, ConfigFile]:
    secrets = request.secrets
    passwords = {user: secrets[f"{user}_password"] for user in _KEYSTONE_USERS}
    files: dict[str, ConfigFile] = {
        "/etc/mysql/mariadb.conf.d/70-stacklab.cnf": ConfigFile(
            text=request.render("debian/mariadb.cnf.j2", node, **context)
        ),
        "/etc/mysql/stacklab-init.sql": ConfigFile(
            text=request.render(
                "debian/init.sql.j2",
                node,
                users=_DATABASE_USERS,
                password_hashes={
                    user: forms.password_hash(user, word) for user, word in passwords.items()
                },
                volume_type_ids=volumes.type_ids(place.volume_types),
                scheme=tls.scheme(place.has_tls),
                **context,
            ),
            group="mysql",
            mode=0o640,
        ),
        "/etc/rabbitmq/rabbitmq.conf": ConfigFile(
            text=request.render("debian/rabbitmq.conf.j2", node, **context),
            group="rabbitmq",
            mode=0o640,
        ),
        "/etc/rabbitmq/rabbitmq-env.conf": ConfigFile(
            text=request.render("debian/rabbitmq-env.conf.j2", node, **context)
        ),
        "/etc/rabbitmq/enabled_plugins": ConfigFile(text="[].\n"),
    }
    files |= _started_by_us(request, node, place, context)
    files |= dashboard.texts(request, node, place)
    for repository in _KEY_REPOSITORIES:
        # Keystone wants a key to come (0) beside the one that it uses; a lab's is never changed.
        for index in (0, 1):
            files[f"/etc/keystone/{repository}-keys/{index}"] = ConfigFile(
                text=forms.fernet_key(secrets[f"{repository}_secret"]),
                owner="keystone",
                group="keystone",
                mode=0o600,
            )
    return files


def _started_by_us(
    request: Request, node: Node, place: CloudPlace, context: Mapping[str, object]
) -> Mapping[str, ConfigFile]:
    """Return what starts services where Debian's own way is not taken."""
    files = {
        str(services.UWSGI_LOCKS): ConfigFile(
            text=request.render("debian/uwsgi_locks.py.j2", node)
        ),
        services.KEYSTONE_WSGI: ConfigFile(text=request.render("debian/keystone.wsgi.j2", node)),
    }
    for application in services.wsgi_of(place):
        files[f"/etc/stacklab/{application.name}-uwsgi.ini"] = ConfigFile(
            text=request.render(
                "debian/uwsgi.ini.j2",
                node,
                application=application,
                locks=services.UWSGI_LOCKS,
                **context,
            )
        )
    for service in services.services_of(request.lab, place):
        name = service.name
        module = services.QUIET_LAUNCHERS.get(name)
        if module is None:
            continue
        files[services.launcher_of(name)] = ConfigFile(
            text=request.render("debian/quiet-launcher.py.j2", node, name=name, module=module),
            mode=0o755,
        )
    return files


def _volume_texts(request: Request, node: Node, place: CloudPlace) -> Mapping[str, ConfigFile]:
    """Return the scripts of cinder's volumes."""
    groups = {name: volumes.group_of(name) for name in place.volume_types}
    script = request.render("debian/volumes.sh.j2", node, groups=groups, size_gib=volumes.SIZE_GIB)
    return {
        "/usr/local/sbin/stacklab-volumes": ConfigFile(text=script, mode=0o755),
        # Before Debian's, by the path that sudo searches.
        "/usr/local/sbin/cinder-rootwrap": ConfigFile(
            text=request.render("debian/cinder-rootwrap.sh.j2", node), mode=0o755
        ),
        "/etc/sudoers.d/stacklab-cinder": ConfigFile(
            text="cinder ALL = (root) NOPASSWD: /usr/local/sbin/cinder-rootwrap *\n", mode=0o440
        ),
    }


def _units(request: Request, node: Node, place: CloudPlace) -> dict[PurePosixPath, ConfigFile]:
    """Return the units of the node's services, of its bridges, and of its targets."""
    lab = request.lab
    own = services.services_of(lab, place)
    bridges = request.render(backend_of(lab).bridges_unit, node, place=place)
    units = {names.BRIDGES: bridges}
    for service in own:
        units[service.unit] = _render_unit(request, node, place, service)
    preparing = services.preparing_units(lab, place)
    if names.GATEWAY in preparing:
        units[names.GATEWAY] = request.render("debian/gateway.service.j2", node)
    if names.VOLUMES in preparing:
        units[names.VOLUMES] = request.render("debian/volumes.service.j2", node)
    wanted = (
        *preparing,
        *services.debian_units(lab, place),
        *(service.unit for service in own),
    )
    for target in services.targets(place):
        role = "controller" if target == names.CONTROLLER_TARGET else "compute"
        units[target] = request.render("debian/target.j2", node, role=role, units=wanted)
    return {_UNITS / name: ConfigFile(text=text) for name, text in units.items()}


def _render_unit(request: Request, node: Node, place: CloudPlace, service: Service) -> str:
    return request.render(
        "debian/service.j2",
        node,
        service=service,
        bridges=names.BRIDGES,
        environment=services.LESS_TO_IMPORT,
        targets=services.targets(place),
    )
