"""The step that starts a node's services, in a real shell with a systemctl of ours."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from stacklab import spec
from stacklab.installers import kit_of
from stacklab.paths.project import LABS

SYSTEMCTL = """\
#!/bin/sh
echo "$*" >> {root}/calls
case "$*" in *bridges*) ;; *) exit 0 ;; esac
left=$(cat {root}/fails)
[ "$left" -gt 0 ] || exit 0
echo $((left - 1)) > {root}/fails
exit 1
"""


@pytest.mark.parametrize(("fails", "code", "told"), [(0, 0, 0), (1, 1, 1)])
def test_why_bridges_failed_is_in_the_steps_log(
    tmp_path: Path, fails: int, code: int, told: int
) -> None:
    lab = spec.load(LABS / "openstack-aio.yaml")
    kit = kit_of(lab.stack.installer)
    assert kit is not None
    (start,) = [stage for stage in kit.stages(lab) if stage.name.startswith("start@")]
    for name, text in {
        "systemctl": SYSTEMCTL.format(root=tmp_path),
        "journalctl": "#!/bin/sh\necho ovs-vsctl: no such bridge\n",
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "fails").write_text(str(fails))
    done = subprocess.run(
        ["bash", "-c", start.steps[0].command],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert done.stdout.count("no such bridge") == told
    last = (tmp_path / "calls").read_text().splitlines()[-1]
    assert ("--no-block" in last) is (code == 0)
