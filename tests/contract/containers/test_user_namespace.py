"""The holder of a user namespace, where the kernel makes none."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from stacklab.paths.project import PROJECT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="it is root's")

# Of make(), on a host where user.max_user_namespaces is 0.
REFUSED = """
import ctypes, errno, sys
sys.path.insert(0, sys.argv[1])
import user_namespace

def refuse(flags):
    ctypes.set_errno(errno.ENOSPC)
    return -1

user_namespace._libc.unshare = refuse
user_namespace.make("slrefused", [])
"""


def test_where_the_kernel_refuses_one_its_helper_ends_too() -> None:
    argv = (sys.executable, "-c", REFUSED, str(PROJECT / "stacklab/providers/containers"))
    # With a helper that waits, the end of its output would never come.
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
