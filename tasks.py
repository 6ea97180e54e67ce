"""The tasks of `./invoke`: they are in stacklab/cli/, a module for each group."""

from __future__ import annotations

from stacklab.cli import (
    answers,
    bundle,
    cache,
    check,
    cloud,
    completion,
    dev,
    glue,
    image,
    lab,
    mirror,
    snapshot,
    stack,
    usage,
)

usage.give_next_steps()
ns = glue.collection(
    lab, snapshot, bundle, cache, stack, check, cloud, image, mirror, answers, dev, completion
)
