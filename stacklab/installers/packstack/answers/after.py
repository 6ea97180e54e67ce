"""Options that Packstack has no keys for: they go into the services' own files after it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType

from stacklab.errors import RenderError
from stacklab.installers.kit.git import CLONES
from stacklab.installers.kit.request import Request
from stacklab.installers.kit.roles import has_compute
from stacklab.model.lab import Lab, Node
from stacklab.model.release import Release
from stacklab.model.stack import ConfigOption

DIRECTORY = CLONES / "packstack"
SCRIPT = DIRECTORY / "options.sh"
METADATA = DIRECTORY / "glance-metadata.json"

_NOVA = "/etc/nova/nova.conf"
_GLANCE = "/etc/glance/glance-api.conf"
_INSTALLED_METADATA = PurePosixPath("/etc/glance/filesystem_store_metadata.json")
_IMAGES = "/var/lib/glance/images"  # where RDO's glance keeps them
# DevStack's names for files, as a lab's post_config may say them.
_FILES: Mapping[str, str] = MappingProxyType(
    {
        "$NOVA_CONF": _NOVA,
        "$GLANCE_API_CONF": _GLANCE,
        "$CINDER_CONF": "/etc/cinder/cinder.conf",
        "$KEYSTONE_CONF": "/etc/keystone/keystone.conf",
        "$NEUTRON_CONF": "/etc/neutron/neutron.conf",
    }
)


def render_files(request: Request, node: Node) -> Mapping[PurePosixPath, str]:
    """Return the script that sets a node's options, and the files that it installs."""
    lab, release = request.lab, request.release
    node_options = options_of_node(lab, release, node)
    if not node_options:
        return {}
    copies = lab.stack.glance.direct_copy and node.name == lab.controller.name
    script = request.render(
        "packstack/options.sh.j2",
        node,
        options=node_options,
        path=SCRIPT,
        metadata=METADATA if copies else "",
        metadata_path=_INSTALLED_METADATA,
    )
    if not copies:
        return {SCRIPT: script}
    # nova copies from glance's file system if both know it by the same id.
    metadata = request.render(
        "packstack/glance-metadata.json.j2", node, id=lab.name, mountpoint=_IMAGES
    )
    return {SCRIPT: script, METADATA: metadata}


def options_of_node(lab: Lab, release: Release, node: Node) -> tuple[ConfigOption, ...]:
    """Return a node's options; those of the spec come last, and win."""
    settings = (*_set_overcommit(lab, release, node), *_set_glance(lab, release, node))
    options = []
    for file, section, key, value in settings:
        options.append(
            ConfigOption(
                role=str(node.role),
                file=file,
                section=section,
                key=key,
                value=value,
            )
        )
    for option in lab.stack.post_config_for(node.role):
        options.append(_place_option(option))
    return tuple(options)


def _place_option(option: ConfigOption) -> ConfigOption:
    """Return an option of the spec with the file's path on the node."""
    file = _FILES.get(option.file, option.file)
    if not file.startswith("/") or "$" in file:
        raise RenderError(
            f"stack.post_config.{option.role}: Packstack does not know {option.file}",
            hint=f"the file's own path, or one of {', '.join(_FILES)}",
        )
    # crudini does as Python 2's parser does, and cuts the value there.
    if re.search(r"\s;", option.value):
        raise RenderError(
            f"stack.post_config.{option.role}: crudini takes what follows the ; in {option.key} "
            f"for a comment",
            hint="a value without a blank before its ;",
        )
    return ConfigOption(
        role=option.role, file=file, section=option.section, key=option.key, value=option.value
    )


def _set_overcommit(lab: Lab, release: Release, node: Node) -> Iterator[tuple[str, str, str, str]]:
    """Yield the ratio of disks: Packstack has keys for those of CPUs and memory only."""
    disk = lab.stack.overcommit.disk
    if disk is None:
        return
    yield _NOVA, "DEFAULT", "disk_allocation_ratio", str(disk)
    # The scheduler looks at disks if it is told to, in releases that do not do so by themselves.
    filters = release.text("disk_filters")
    if filters and node.name == lab.controller.name:
        yield _NOVA, "DEFAULT", "scheduler_default_filters", filters


def _set_glance(lab: Lab, release: Release, node: Node) -> Iterator[tuple[str, str, str, str]]:
    """Yield what lets nova read images past glance's API, from URLs or from its file system."""
    glance = lab.stack.glance
    wanted = ("file", *glance.url_schemes) if glance.direct_copy else glance.url_schemes
    schemes = tuple(dict.fromkeys(wanted))  # `file` may be among the spec's, too
    if not schemes:
        return
    is_controller = node.name == lab.controller.name
    # With computes, their nova would look for glance's files on its own disk.
    if glance.direct_copy and not (is_controller and has_compute(lab, node)):
        raise RenderError(
            "stack.glance.direct_copy: nova must see glance's file system, and that is the "
            "controller's alone",
            hint="leave out the computes, or direct_copy",
        )
    if is_controller:
        yield _GLANCE, "DEFAULT", "show_multiple_locations", "True"
    if has_compute(lab, node):
        yield (
            _NOVA,
            release.text("direct_url_section"),
            "allowed_direct_url_schemes",
            ",".join(schemes),
        )
    if glance.direct_copy:
        yield (
            _GLANCE,
            release.text("store_section"),
            "filesystem_store_metadata_file",
            str(_INSTALLED_METADATA),
        )
        yield _NOVA, "image_file_url", "filesystems", "glance"
        yield _NOVA, "image_file_url:glance", "id", lab.name
        yield _NOVA, "image_file_url:glance", "mountpoint", _IMAGES
