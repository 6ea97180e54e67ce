"""The options of services that go into local.conf's post-config sections: ours, then the spec's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from stacklab.errors import RenderError
from stacklab.installers.devstack.answers.images import IMAGES, METADATA
from stacklab.installers.devstack.answers.seat import DevStackSeat
from stacklab.installers.kit.request import Request
from stacklab.installers.kit.roles import has_compute
from stacklab.model.lab import Lab, Node
from stacklab.model.stack import ConfigOption, Driver, NetworkingMode

NOVA, GLANCE = "$NOVA_CONF", "$GLANCE_API_CONF"
PLUGIN = "/$Q_PLUGIN_CONF_FILE"  # of ml2; DevStack's variable has no leading slash

Sections = Mapping[str, Mapping[str, Sequence[ConfigOption]]]
"""File -> section -> its options, in the order in which they are written."""


def sections(request: Request, node: Node, seat: DevStackSeat) -> Sections:
    """Return a node's options by file and section: ours, then the spec's."""
    return _group_options(
        (*_find_own(request, node, seat), *request.lab.stack.post_config_for(node.role))
    )


def plain_sections(request: Request, node: Node) -> Sections:
    """Return only what the spec asks for.

    It is for a cloud whose consoles and networks are another installer's.
    """
    return _group_options(
        (*_asked_for(request, node), *request.lab.stack.post_config_for(node.role))
    )


def _group_options(options: Iterable[ConfigOption]) -> Sections:
    """Keep the later of two options for the same key.

    DevStack would make one option with two values of them.
    """
    last = {(option.file, option.section, option.key): option for option in options}
    options_by_section: dict[str, dict[str, list[ConfigOption]]] = {}
    for option in last.values():
        file_sections = options_by_section.setdefault(option.file, {})
        file_sections.setdefault(option.section, []).append(option)
    return options_by_section


def _asked_for(request: Request, node: Node) -> Iterator[ConfigOption]:
    yield from _as_options(_overcommit(request), node)
    yield from _as_options(_glance(request, node), node)


def _find_own(request: Request, node: Node, seat: DevStackSeat) -> Iterator[ConfigOption]:
    yield from _asked_for(request, node)
    yield from _as_options(_docker(request.lab, seat), node)
    yield from _as_options(_consoles(request, seat), node)
    yield from _as_options(_tunnels(request, seat), node)


def _as_options(rows: Iterable[Row], node: Node) -> Iterator[ConfigOption]:
    for file, section, key, value in rows:
        yield ConfigOption(role=str(node.role), file=file, section=section, key=key, value=value)


Row = tuple[str, str, str, str]  # file, section, key, value


def _overcommit(request: Request) -> Iterator[Row]:
    """Yield the ratios of overcommit.

    Computes report them to the scheduler; the controller needs them in old releases, whose
    scheduler decided by itself.
    """
    ratios = request.lab.stack.overcommit
    section = request.release.text("overcommit_section") or "DEFAULT"
    resources = (("cpu", ratios.cpu), ("ram", ratios.ram), ("disk", ratios.disk))
    for name, ratio in resources:
        if ratio is not None:
            yield NOVA, section, f"{name}_allocation_ratio", str(ratio)


def _glance(request: Request, node: Node) -> Iterator[Row]:
    glance, lab = request.lab.stack.glance, request.lab
    if not glance.direct_copy and not glance.url_schemes:
        return
    section = request.release.text("direct_url_section")
    if not section:
        raise RenderError(
            f"stack.glance: nova of {request.release.name} gets images from glance's API alone"
        )
    # Without it, glance does not tell nova where the file of an image is.
    if node.name == lab.controller.name:
        yield GLANCE, "DEFAULT", "show_multiple_locations", "True"
        if glance.direct_copy:
            yield (
                GLANCE,
                request.release.text("store_section"),
                "filesystem_store_metadata_file",
                str(METADATA),
            )
    if has_compute(lab, node):
        yield from _glance_on_compute(lab, section)


def _glance_on_compute(lab: Lab, section: str) -> Iterator[Row]:
    """Yield what makes nova fetch images by themselves, past glance's API."""
    glance = lab.stack.glance
    schemes = ["file"] if glance.direct_copy else []
    schemes += glance.url_schemes
    # The spec may name `file` as well; nova keeps the order, and each is to be there once.
    yield NOVA, section, "allowed_direct_url_schemes", ",".join(dict.fromkeys(schemes))
    if glance.direct_copy:
        # nova compares this id with the one in glance's metadata file.
        yield NOVA, "image_file_url", "filesystems", lab.name
        yield NOVA, f"image_file_url:{lab.name}", "id", lab.name
        yield NOVA, f"image_file_url:{lab.name}", "mountpoint", str(IMAGES)


def _docker(lab: Lab, seat: DevStackSeat) -> Iterator[Row]:
    if lab.stack.driver is Driver.DOCKER and seat.is_controller and not seat.has_compute:
        # The driver's script says so only where nova-compute is, and glance isn't there.
        yield GLANCE, "DEFAULT", "container_formats", "ami,ari,aki,bare,ovf,ova,docker"


def _consoles(request: Request, seat: DevStackSeat) -> Iterator[Row]:
    if "NOVA_VNC_ENABLED" in request.release.inert and not seat.is_controller:
        # Without a console proxy of its own such a node switches VNC off.
        yield NOVA, "DEFAULT", "vnc_enabled", "True"
        yield NOVA, "DEFAULT", "vncserver_listen", str(seat.host_ip)
        yield NOVA, "DEFAULT", "vncserver_proxyclient_address", str(seat.host_ip)


def _tunnels(request: Request, seat: DevStackSeat) -> Iterator[Row]:
    is_ovs = request.lab.stack.network_mode is NetworkingMode.OVS
    if is_ovs and "TUNNEL_ENDPOINT_IP" in request.release.inert and seat.data_ip != seat.host_ip:
        yield PLUGIN, "ovs", "local_ip", str(seat.data_ip)
