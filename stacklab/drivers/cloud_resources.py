"""Make what OpenStack's own tests need of a cloud, or delete it again.

Either way, what tests have left that were cut off is deleted first.

Runs in the venv of requirements/cloud.txt. Reads its orders as JSON from stdin:

    auth        arguments of openstack.connect
    prefix      what the names of all that it makes begin with
    order       make or delete
    tenant      paths of kernel, ramdisk and disk; command_line of the kernel
    public_key  for VMs
    external    see cloud_smoke
    has_volumes true: the cloud has cinder

Writes one line of JSON: image, flavor, larger_flavor, external, each an id, and external_name; or,
with exit code 1, {"failed": WORDS}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import openstack

from stacklab.drivers import tempest_remains
from stacklab.drivers.cloud_smoke.resources import LARGER_FLAVOR, Resources
from stacklab.drivers.cloud_smoke.steps import StepFailed, words_of

_WORDS_MAX = 2000


def make(made: Resources, cloud: Any, orders: dict[str, Any]) -> dict[str, str]:  # noqa: ANN401
    """Make it all, and return the ids."""
    made.delete_all()
    # Tests have projects of their own.
    made.upload_image(orders["tenant"], is_public=True)
    made.make_flavors_and_key(orders["public_key"])
    external = orders["external"]
    if not external["name"]:
        made.make_external(external)
    name = external["name"] or made.full_name("external")
    image = cloud.image.find_image(made.full_name("image"), ignore_missing=False)
    flavors = [
        cloud.compute.find_flavor(made.full_name(word), ignore_missing=False).id
        for word in ("flavor", LARGER_FLAVOR)
    ]
    return {
        "image": image.id,
        "flavor": flavors[0],
        "larger_flavor": flavors[1],
        "external": str(made.network(name).id),
        "external_name": name,
    }


def main() -> int:
    """Read the order, and carry it out."""
    orders = json.load(sys.stdin)
    try:
        cloud = openstack.connect(load_yaml_config=False, load_envvars=False, **orders["auth"])
        made = Resources(cloud, orders["prefix"], has_volumes=False)
        tempest_remains.delete(cloud, has_volumes=orders["has_volumes"])
        if orders["order"] == "make":
            print(json.dumps(make(made, cloud, orders)), flush=True)
        else:
            made.delete_all()
            print(json.dumps({}), flush=True)
    except (StepFailed, openstack.exceptions.SDKException) as error:
        words = str(error) if isinstance(error, StepFailed) else words_of(error)
        print(json.dumps({"failed": words[:_WORDS_MAX]}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
