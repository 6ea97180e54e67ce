"""`image.*`: the base images that nodes boot from."""

from __future__ import annotations

from typing import Annotated, Any

from stacklab.cli.framework.glue import Completes, Words, task
from stacklab.cli.framework.session import print_lines, session, show


@task("image.build", resumes=True)
def build(
    _c: Any,
    name: Annotated[str, "image name, as image.list shows it", Completes.IMAGE],
    force: Annotated[bool, "build it again, with today's packages"] = False,
) -> None:
    """Build a base image, unless it is built already from the same inputs."""
    from stacklab.workflow import images

    with session(f"image.build {name}") as context:
        stored = images.build(context, name, force=force)
    print(f"{stored.key}  {stored.path}  built in {stored.took_s:.0f} s")


@task("image.list")
def list_images(_c: Any) -> None:
    """Show the catalogue, and which images are built on this host."""
    from stacklab.views import host
    from stacklab.workflow import images

    with session() as context:
        show(host.images_table(*images.overview(context)))


@task("image.verify")
def verify(
    _c: Any, rest: Annotated[Words, "image names; if left out: all", Completes.IMAGE] = None
) -> None:
    """Read base images whole and compare them with what was built."""
    from stacklab.workflow import images

    with session("image.verify") as context:
        keys = images.verify(context, rest or ())
        print_lines([f"{key}: as it was built" for key in keys], "no image is built")


@task("image.prune", resumes=True)
def prune(_c: Any) -> None:
    """Delete base images that no lab uses and no lab.up would take."""
    from stacklab.workflow import images

    with session("image.prune") as context:
        print_lines([f"deleted {key}" for key in images.prune(context)], "nothing to delete")
