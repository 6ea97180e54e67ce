"""The tasks of `./invoke`: they are in stacklab/cli/, a module for each group."""

from __future__ import annotations

from stacklab.cli import (
    answers,
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
    streams,
    usage,
)

streams.prepare()
usage.give_next_steps()
ns = glue.collection(lab, snapshot, stack, check, cloud, image, mirror, answers, dev, completion)
