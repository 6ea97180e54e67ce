"""`lab.logs`, a node's side: one session that sends everything, cut into files as it comes."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from stacklab.errors import LabError
from stacklab.installers import all_kits
from stacklab.nodes import session
from stacklab.paths import LabPaths
from stacklab.process.command import Command, Conversing
from stacklab.tools import ssh

LIMIT_S = 90.0
MOST_BYTES = 16 * 1024 * 1024  # of one node
_OF_JOURNAL = 1024 * 1024
_OF_FILE = 128 * 1024
_FILES = 60  # the newest
_COMMAND_S = 20

# Where the services of a cloud write. Kits know where installers do. What is missing is skipped.
_PLACES = (
    "/home/stack/logs",
    "/var/log/nova",
    "/var/log/neutron",
    "/var/log/keystone",
    "/var/log/glance",
    "/var/log/cinder",
    "/var/log/rabbitmq",
    "/var/log/mysql",
    "/var/log/mariadb",
    "/var/log/apache2",
    "/var/log/httpd",
    "/var/log/openvswitch",
    "/var/log/libvirt",
    "/var/log/cloud-init.log",
    "/var/log/upstart",
    "/var/log/syslog",
    "/var/log/messages",
)
_SECTIONS: Mapping[str, tuple[str, int]] = {
    "system.txt": (
        "uname -a; uptime; date -u; cat /etc/os-release; free -m; swapon -s; df -h; df -i; "
        "cat /proc/loadavg",
        _OF_FILE,
    ),
    "network.txt": (
        "ip -d addr; ip route show table all; ip rule; ip neigh; ss -tulnp; "
        "cat /etc/resolv.conf /etc/hosts; tc -s qdisc show",
        _OF_FILE,
    ),
    "firewall.txt": ("iptables-save -c; nft list ruleset", _OF_FILE),
    "processes.txt": ("ps -eo pid,ppid,user,stat,etime,time,rss,args --sort=-rss", _OF_FILE),
    "units.txt": (
        "systemctl --no-pager --failed; "
        "for u in $(systemctl --failed --no-legend --plain | cut -d' ' -f1); do "
        "systemctl --no-pager status $u; done; systemctl --no-pager list-jobs; "
        "initctl list 2>/dev/null",
        _OF_FILE,
    ),
    "dmesg.txt": ("dmesg", 256 * 1024),
    "journal.txt": ("journalctl --no-pager -b -o short-iso", _OF_JOURNAL),
    "login.txt": ("last -n 20; tail -n 50 /var/log/auth.log", _OF_FILE),
}

# Even an empty file costs this host so much, and a node may begin files without end.
_DEEPEST = 40  # directories below each other
_COST_OF_FILE = 1024
# Suffixes that browsers, file managers and web servers all take for plain data. A server may send
# `a.log`, or a name without a suffix, as nothing in particular, and browsers then look for scripts
# in it; `.htaccess` is an order to some servers.
_PLAIN = (".txt", ".json")
_ODD = re.compile(r"[^A-Za-z0-9._@+=-]")


@dataclass
class NodeLogs:
    """Files of a node, by path; `why_not` tells why some are missing.

    Each file is one buffer of UTF-8: as one string per line, 16 MiB of short lines would
    cost this host up to 700 MB.
    """

    files: dict[str, bytearray] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)  # files whose end did not come
    why_not: str = ""  # printable


def script(marker: str) -> str:
    """Return the node's script, run as root if it may; it never writes to the disk, maybe full."""
    lines = [
        f"m={shlex.quote(marker)}",
        "PATH=$PATH:/usr/sbin:/sbin",
        "export LC_ALL=C",
        "collect() {",
        "printf '%s hello\\n' \"$m\"",
    ]
    for name, (shell, most) in _SECTIONS.items():
        body = shlex.quote(f"exec 2>&1; {shell}")
        lines += [
            f"printf '%s begin %s\\n' \"$m\" {name}",
            f"timeout {_COMMAND_S} sh -c {body} | tail -c {most}",
            f"printf '\\n%s end %s\\n' \"$m\" {name}",
        ]
    # The newest files first, so that what fits is what matters.
    # -H: /var/log/kolla is a link, to the volume of kolla's containers.
    of_kits = {str(place) for kit in all_kits() for place in kit.log_places}
    places = shlex.join([*sorted(of_kits), *_PLACES])
    lines += [
        f"find -H {places} -type f -size +0c ! -name '*.gz' ! -name '*.xz'"
        " -printf '%T@ %p\\n' 2>/dev/null"
        f" | sort -rn | head -n {_FILES} | cut -d ' ' -f 2- | while read -r f; do",
        'printf \'%s begin files%s\\n\' "$m" "$f"',
        f'tail -c {_OF_FILE} "$f" 2>&1',
        'printf \'\\n%s end files%s\\n\' "$m" "$f"',
        "done",
        "printf '%s bye\\n' \"$m\"",
        "}",
        "collect </dev/null",
        "",
    ]
    return "\n".join(lines)


def collect(paths: LabPaths, runner: Conversing, node: str) -> NodeLogs:
    """Fetch all that a node can tell; never raises, and keeps what came before an early end."""
    marker = session.marker()
    hearing = _FileCutter(marker)
    try:
        ending = session.listen(runner, _session_command(paths, node, marker), hearing)
    except LabError as error:  # ssh is not installed on this host
        hearing.logs.why_not = error.message
        return hearing.logs
    if not hearing.is_whole:
        hearing.logs.why_not = ending.why
    return hearing.logs


def _session_command(paths: LabPaths, node: str, marker: str) -> Command:
    # sudo is tried with a command of its own: one that asks for a password would read the script.
    line = "if sudo -n true 2>/dev/null; then exec sudo -n sh -s; else exec sh -s; fi"
    command = ssh.exec_command(paths, node, (line,), timeout_s=LIMIT_S)
    return dataclasses.replace(
        command, what=f"fetching the logs of {node}", stdin=script(marker).encode()
    )


class _FileCutter:
    """Cuts a node's lines into files; see session.Hearer."""

    def __init__(self, marker: str) -> None:
        self._marker = f"{marker} "
        self._path: str | None = None
        self._size = 0
        self.logs = NodeLogs()
        self.is_whole = False

    def hear(self, line: str, _at: float) -> None:
        """Take one line of the answer."""
        data = line.encode("utf-8", "replace") + b"\n"
        self._size += len(data)
        if self._size > MOST_BYTES:  # why_stop is asked only a few times a second
            return
        if line.startswith(self._marker):
            self._take_mark(line[len(self._marker) :].rstrip("\r"))
        elif self._path is not None:
            self.logs.files[self._path] += data

    def _take_mark(self, text: str) -> None:
        """Begin or end a file."""
        word, _, name = text.partition(" ")
        self.is_whole |= word == "bye"
        if word == "begin":
            self._size += _COST_OF_FILE
            self._path = safe_path(name)
            self.logs.files[self._path] = bytearray()
            self.logs.cut.add(self._path)
        elif word == "end" and self._path is not None:
            self.logs.cut.discard(self._path)
            self._path = None

    def why_stop(self) -> str:
        """Return why no more is taken; "" while there is room."""
        most = f"more than {MOST_BYTES // 1024 // 1024} MiB"
        return most if self._size > MOST_BYTES else ""


def safe_path(name: str) -> str:
    """Return a node's name of a file as a relative path of plain words that leads nowhere else.

    The bundle may be looked at in a browser: see plain_name.
    """
    parts: list[str] = []
    for part in PurePosixPath("/", name).parts[1:]:
        plain = _ODD.sub("_", part)[:100]
        # `..` and the like would lead out of the bundle.
        parts.append(plain if plain.strip(".") else "_")
    # Python removes directories by recursion: of 1,000 it would leave all.
    parts[_DEEPEST:] = ["_".join(parts[_DEEPEST:])] if parts[_DEEPEST:] else []
    return plain_name("/".join(parts) or "_")


def plain_name(path: str) -> str:
    """Return a file's path with a suffix by which no browser runs a script in it.

    Most files of a bundle hold what nodes wrote, whoever named them.
    """
    return path if PurePosixPath(path).suffix in _PLAIN else f"{path}.txt"


def texts(logs: NodeLogs) -> Iterator[tuple[str, str]]:
    """Yield each file's path and text; of one whose beginning was left out, only whole lines."""
    for path, data in logs.files.items():
        # The script writes a newline before each mark: it is not the file's.
        whole = data[:-1] if data.endswith(b"\n\n") or data == b"\n" else data
        text = whole.decode("utf-8", "replace")
        most = _SECTIONS[path][1] if path in _SECTIONS else _OF_FILE
        is_bounded = path in _SECTIONS or path.startswith("files/")
        if is_bounded and len(whole) >= most:
            text = from_whole_line(text)
        yield path, text


def from_whole_line(text: str) -> str:
    """Return a text from its first whole line on: the half line before it may be half a secret."""
    return "(its beginning is left out)\n" + text.partition("\n")[2]
