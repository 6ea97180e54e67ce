"""`bench.cloud` takes the lab as lab.up would."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stacklab.cli import dev
from stacklab.dev import bench_cloud
from stacklab.doctor.containers import kernel
from stacklab.model.lab import Lab
from stacklab.workflow.cloud import client


@pytest.mark.parametrize("presence", [kernel.Presence.ABSENT, kernel.Presence.READY])
def test_its_answer_files_fit_this_hosts_kernel(
    presence: kernel.Presence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the module, a bridge whose kind is "system" is a name without a device.
    seen: list[Lab] = []

    def measure(_context: object, lab: Lab, _cycle: object) -> tuple[()]:
        seen.append(lab)
        return ()

    monkeypatch.setenv("STACKLAB_HOME", str(tmp_path))
    monkeypatch.setattr(bench_cloud, "measure", measure)
    monkeypatch.setattr(client, "prepare_venv", lambda _context: None)
    monkeypatch.setattr(kernel, "presence", lambda *_words: presence)
    task: Any = dev.bench_cloud
    task.body(SimpleNamespace(), "openstack-aio", "containers")
    assert seen[0].stack.lacks_openvswitch is (presence is kernel.Presence.ABSENT)
