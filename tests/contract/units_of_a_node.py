"""A node whose systemd is ours, for the programs that change its units."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from stacklab.nodes import programs

SYSTEMCTL = """\
#!/usr/bin/env python3
import json, os, pathlib, sys
root = pathlib.Path(os.environ["FAKE_ROOT"])
units = json.loads((root / "units.json").read_text())
words = sys.argv[1:]
with (root / "calls").open("a") as calls:
    calls.write(" ".join(words) + "\\n")
if words[0] == "show":
    import fnmatch
    blocks = [u for u in units if fnmatch.fnmatch(u["Id"], words[-1])]
    print("\\n\\n".join("\\n".join(f"{k}={v}" for k, v in u.items()) for u in blocks))
"""
ENVIRONMENT = "EVENTLET_NO_GREENDNS=yes"
_PLACES = (
    '"/run/systemd/system"',
    '"/etc/systemd/system"',
    '"/run/stacklab-debug"',
    '"/usr/local/lib/stacklab-debug"',
    '"/opt/stacklab-source"',
    '"/run/stacklab-containers"',
)


def make_node(root: Path) -> Path:
    """Make a directory that stands for a node's file system and its systemd."""
    folder = root / "bin"
    folder.mkdir()
    for name, text in {
        "systemctl": SYSTEMCTL,
        "journalctl": "#!/bin/sh\necho 'ImportError: no module named nova'\n",
        "nova-compute": f"#!{sys.executable}\n",
        "by-env": "#!/usr/bin/env python3\n",
        "mariadbd": "\x7fELF",
        "uwsgi_python3": "\x7fELF",
    }.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    arguments = {
        "nova-compute": f"{folder}/nova-compute --config-file=/etc/nova/nova.conf",
        "by-env": f"{folder}/by-env",
        "mariadb": f"{folder}/mariadbd",
        "keystone": f"{folder}/uwsgi_python3 --ini /etc/k$e%y.ini",
    }
    units = [
        {
            "Id": f"stacklab-{name}.service",
            "ExecStart": f"{{ path=x ; argv[]={words} ; ignore_errors=no ; pid=0 }}",
            "Environment": ENVIRONMENT,
            "User": "root",
            "ActiveState": "active",
        }
        for name, words in arguments.items()
    ]
    (root / "units.json").write_text(json.dumps(units))
    return root


def run_program(name: str, node: Path, *words: str) -> tuple[list[Mapping[str, object]], int]:
    """Run the program, with its places below the node's directory."""
    text = programs.source_of(name).decode()
    # Units that are files do not end.
    text = text.replace("STAYS_S = 3.0", "STAYS_S = 0.0")
    for place in _PLACES:
        text = text.replace(place, f'"{node}{place[1:]}')
    text = text.replace('"/proc/self/mountinfo"', f'"{node}/mounts"')
    done = subprocess.run(
        [sys.executable, "-", *words],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{node}/bin:{os.environ['PATH']}", "FAKE_ROOT": str(node)},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode
