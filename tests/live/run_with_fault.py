"""Run `./invoke ...` in this process, with a fault at one of its steps: see step_faults.

    .venv/bin/python -m tests.live.run_with_fault --log STEPS --fault kill --at 12 -- lab.snapshots x

Without a fault it only writes the steps, one a line, into the log.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

import libvirt

from stacklab.paths import HostPaths
from stacklab.paths.project import PROJECT
from tests.live.step_faults import Fault, Step, Steps


def main(words: Sequence[str]) -> None:
    """Read the arguments, arrange the fault, and be invoke from there on."""
    options = _parser().parse_args(words)
    # Open for good: a step is on its way to the disk before the process is killed at it.
    log = os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def write(step: Step) -> None:
        os.write(log, (json.dumps(dataclasses.asdict(step)) + "\n").encode())

    steps = Steps(HostPaths.default().root, fault=options.fault, at=options.at, log=write)
    steps.wrap_libvirt(libvirt)
    sys.addaudithook(steps.audit)
    sys.argv = ["invoke", "--search-root", str(options.checkout), *options.words]
    runpy.run_module("invoke", run_name="__main__", alter_sys=True)


def arguments(
    fault: Fault, at: int, log: Path, *words: str, checkout: Path = PROJECT
) -> tuple[str, ...]:
    """Return what Python is given to do it; its working directory has to be this project."""
    return (
        *("-m", "tests.live.run_with_fault", "--log", str(log)),
        *("--fault", fault, "--at", str(at), "--checkout", str(checkout)),
        *("--", *words),
    )


def read(log: Path) -> tuple[Step, ...]:
    """Return the steps that a run has come to; one that was killed did not make the last of them."""
    return tuple(Step(**json.loads(line)) for line in log.read_text().splitlines())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Run invoke with a fault at one of its steps.")
    parser.add_argument("--log", type=Path, required=True, help="the file for the steps' names")
    parser.add_argument("--fault", type=Fault, choices=list(Fault), default=Fault.NONE)
    parser.add_argument("--at", type=int, default=0, help="the step's number, from 1")
    parser.add_argument("--checkout", type=Path, default=PROJECT, help="where tasks.py is")
    parser.add_argument("words", nargs="+", help="after --: the task and its words")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
