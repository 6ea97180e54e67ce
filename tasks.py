"""The tasks of `./invoke`: they are in stacklab/cli/, a module for each group."""

from __future__ import annotations

from stacklab.tasks import namespace

ns = namespace
