"""Glance's file system, which nova copies images from: what glance tells of it, and how computes see it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from stacklab.installers.kit.addresses import api_address
from stacklab.installers.kit.git import CLONES
from stacklab.installers.kit.roles import has_compute
from stacklab.model.lab import Lab, Node
from stacklab.stages.stage import Step

IMAGES = CLONES / "data" / "glance" / "images"  # where glance of every release keeps them
METADATA = CLONES / "glance-filesystem.json"
_SHARED = IMAGES.parent  # not IMAGES: stack.sh removes that and makes it anew


def metadata_file(lab: Lab, node: Node) -> Mapping[PurePosixPath, str]:
    """Return what glance says of its file system, if the lab wants direct copies.

    nova copies an image if it knows the same id.
    """
    if not lab.stack.glance.direct_copy or node.name != lab.controller.name:
        return {}
    return {METADATA: json.dumps({"id": lab.name, "mountpoint": str(IMAGES)}, indent=2) + "\n"}


def share(lab: Lab, node: Node) -> Iterator[Step]:
    """Yield what the controller does for computes that copy, after its stack.sh."""
    if (
        not lab.stack.glance.direct_copy
        or node.name != lab.controller.name
        or has_compute(lab, node)
    ):
        return
    network = lab.network(lab.stack.api_network or lab.stack.network)
    yield Step(
        node=node.name,
        title="share glance's images with the computes",
        command=(
            "(apt-get install -y nfs-kernel-server || yum install -y nfs-utils) && "
            # Not exports.d: the server's old init scripts do not start it for what is there alone.
            f"sed -i '\\#^{_SHARED} #d' /etc/exports && "
            f"echo '{_SHARED} {network.cidr}(ro,no_subtree_check)' >> /etc/exports && "
            # Debian's is enabled by its package, and called otherwise.
            "{ service nfs-kernel-server restart || "
            "{ systemctl enable nfs-server && systemctl restart nfs-server; } || "
            "{ chkconfig nfs on && service nfs restart; }; } && exportfs -ra"
        ),
        user="root",
        done=f"exportfs | grep -q '^{_SHARED}' && rpcinfo -t 127.0.0.1 nfs 3",
    )


def see(lab: Lab, node: Node) -> Iterator[Step]:
    """Yield what a compute needs for copies before its nova starts.

    The controller's stack.sh has ended by then.
    """
    if not lab.stack.glance.direct_copy or node.name == lab.controller.name:
        return
    # bg, nofail: a node that is up before the controller tries on, and its boot does not wait.
    line = f"{api_address(lab)}:{_SHARED} {_SHARED} nfs ro,bg,nofail 0 0"
    yield Step(
        node=node.name,
        title="see glance's images, as the controller does",
        command=(
            f"(apt-get install -y nfs-common || yum install -y nfs-utils) && mkdir -p {_SHARED} && "
            f"sed -i '\\# {_SHARED} nfs #d' /etc/fstab && echo '{line}' >> /etc/fstab && "
            # One that went into the background has mounted nothing yet.
            f"{{ mountpoint -q {_SHARED} || {{ mount {_SHARED} && mountpoint -q {_SHARED}; }}; }}"
        ),
        user="root",
        done=f"grep -qxF '{line}' /etc/fstab && mountpoint -q {_SHARED}",
    )
