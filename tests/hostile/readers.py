"""Every reader of a node's words: each takes lines that an honest node could have written, changed
at will, and may return whatever it likes, or raise an error of ours. Nothing else.

Guards (`nodes.guard`) are left out on purpose: they keep a command alive, but cost a node its
results, and hide the mistake.
"""

from __future__ import annotations

import base64
import dataclasses
import itertools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stacklab import spec
from stacklab.checks import plan
from stacklab.checks.explain import firewall, scene
from stacklab.checks.family import Facts, Overview, Tried
from stacklab.checks.nodes import clocks
from stacklab.checks.result import Check
from stacklab.dev.simulated import simulate
from stacklab.errors import LabError
from stacklab.installers.kit.masking import mask
from stacklab.model.checks import CustomCheck, CustomKind
from stacklab.model.lab import Impairment, Lab, Node
from stacklab.nodes import protocol, unit_status, units
from stacklab.nodes.protocol import Answer, Part, Said
from stacklab.nodes.session import Reply
from stacklab.paths.project import PROJECT
from stacklab.process import Command, Result
from stacklab.stages import step_log
from stacklab.tools import console, qcow2, ssh
from stacklab.tools.libvirt import save_file
from stacklab.tools.network import fping, tc
from stacklab.workflow import answers, masking
from stacklab.workflow.cloud import departed, smoke
from stacklab.workflow.logs import node as logs_node
from stacklab.workflow.stack import sources
from tests.unit.checks.explain.test_scene import HEALTHY as SCENE
from tests.unit.checks.fake_lab import make_lab


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader, and lines that it understands."""

    name: str
    honest: tuple[str, ...]
    read: Callable[[Sequence[str]], object]

    def __str__(self) -> str:
        return self.name


def _lab() -> Lab:
    """A lab that has all kinds of checks but those of a cloud."""
    lab = make_lab()
    impairment = Impairment(delay_ms=20.0, loss_percent=5.0, rate_kbit=1000)
    nodes = tuple(
        dataclasses.replace(
            node,
            nics=(node.nics[0], dataclasses.replace(node.nics[1], impairment=impairment)),
        )
        for node in lab.nodes
    )
    names = tuple(node.name for node in nodes)
    custom = (
        CustomCheck(name="one", kind=CustomKind.COMMAND, nodes=names, command="id", text="uid"),
        CustomCheck(name="two", kind=CustomKind.PORT, nodes=names, port=22, host="compute1"),
        CustomCheck(name="three", kind=CustomKind.HTTP, nodes=names, url="http://controller/"),
    )
    checks = dataclasses.replace(lab.checks, custom=custom)
    return dataclasses.replace(lab, nodes=nodes, checks=checks)


LAB = _lab()
CLOUD = spec.load(PROJECT / "labs" / "openstack-3node.yaml")
_FACTS = Facts(
    tried={"mirror.example:80": Tried(address="10.10.0.1"), "x:443": Tried(why_not="refused")},
    answered_at=1_795_170_600.0,
    alive=frozenset({"10.10.0.11"}),
)


def _answer(tag: str, lines: Sequence[str], code: int | None = 0) -> Answer:
    """Return the answer as it is heard: cut, bounded, without what nobody asked for."""
    hearing = protocol.Hearing("M", [tag])
    hearing.hear("M begin", 0.0)
    for line in lines:
        hearing.hear(f"M {tag} {line}", 1_795_170_600.0)
    if code is not None:
        hearing.hear(f"M {tag} = {code}", 0.0)
    return hearing.answer()


def _families() -> Sequence[Reader]:
    """Return a reader for each part that any node is asked to run, once."""
    readers: dict[str, Reader] = {}
    for lab in (LAB, CLOUD):
        for node in lab.nodes[:2]:
            checks = [check for check in plan.expected(lab) if check.node == node.name]
            for part in plan.FAMILIES.parts(lab, node, checks, _FACTS):
                readers.setdefault(part.tag, _of_part(lab, node, checks, part))
    return list(readers.values())


def _of_part(lab: Lab, node: Node, checks: Sequence[Check], part: Part) -> Reader:
    honest = tuple(simulate._healthy_lines(lab, node, part.tag, part.shell))

    # Those alone that have the part run: a judge of 20 checks takes its time.
    groups = [
        (family, its_checks)
        for family, its_checks in plan.FAMILIES.group(checks)
        if part.tag in [one.tag for one in family.parts(lab, node, its_checks, _FACTS)]
    ]

    def read(lines: Sequence[str]) -> object:
        results = []
        # A part that was cut off has no code, and one that failed has another.
        code = (0, 0, 1, None)[sum(map(len, lines)) % 4]
        answer = _answer(part.tag, lines, code)
        for family, its_checks in groups:
            results += family.judge(lab, its_checks, answer, _FACTS)
            measured = family.measure(lab, node, answer)
            overview = Overview(
                states={},
                measured={} if measured is None else {node.name: measured},
                due=frozenset(its_checks),
            )
            results += family.together(lab, its_checks, overview)
        assert all(isinstance(result.sentence, str) for result in results)
        return results

    return Reader(part.tag, honest or ("",), read)


def _scene(tag: str) -> Reader:
    """Return the reader of what a node answers where a cause is looked for."""
    lines = _FIREWALL if tag == "firewall" else tuple(SCENE[tag].splitlines())

    def read(lines: Sequence[str]) -> object:
        answer = _answer(f"explain.{tag}", lines)
        link = _answer("explain.link", SCENE["link"].splitlines())
        seen = scene._read_scene(dataclasses.replace(answer, said={**link.said, **answer.said}))
        nic = LAB.nodes[1].nics[1]
        for rule in seen.rules[:50]:
            for name in ("icmp", "tcp"):
                rule.fits(firewall.Packets(protocol=name, nic=nic, peer="10.20.0.11"))
        return seen

    return Reader(f"scene-{tag}", lines, read)


def _read_clock(lines: Sequence[str]) -> object:
    return clocks.offset_s(_answer("nodes.clock", lines), 20.0)


def _read_file(lines: Sequence[str]) -> object:
    reply = Reply(
        result=Result(exit_code=0), why="x", answer=_answer("f", lines), command=Command(argv=())
    )
    try:
        return answers._content(reply, "f", "node1:/etc/x", "trio")
    except LabError as error:
        return error


def _read_output(lines: Sequence[str]) -> object:
    heard: list[bytes] = []
    hearing = units._OutputHearer("M", 0, heard.append)
    for line in lines:
        hearing.hear(line, 0.0)
    return hearing.why_stop(), unit_status.parse_status(hearing.status_lines)


def _read_logs(lines: Sequence[str]) -> object:
    cutter = logs_node._FileCutter("M")
    for line in lines:
        cutter.hear(line, 0.0)
    return list(logs_node.texts(cutter.logs))


def _read_stage_log(lines: Sequence[str]) -> object:
    said: list[str] = []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "log"
        log = step_log.StepLog(path, mask=lambda text: text, said=said.append)
        log.begin_step("step", 0)
        log.hear("\n".join(lines).encode("utf-8", "replace"))
        log.close()
        return said, step_log.lines_that_matter(path, 0)


def _read_console(lines: Sequence[str]) -> object:
    with tempfile.NamedTemporaryFile() as log:
        log.write("\n".join(lines).encode("utf-8", "surrogatepass"))
        log.flush()
        shown = console.tail(Path(log.name))
    assert all(line.isprintable() for line in shown), shown
    return shown


def _read_source(lines: Sequence[str]) -> object:
    (one,) = itertools.islice(_wanted_sources(), 1)
    return sources._what_came(Said(lines=tuple(lines), code=1), one)


def _wanted_sources() -> Sequence[sources.WantedSource]:
    from stacklab.installers import rendering
    from stacklab.model.stack import NO_MIRRORS

    lab = spec.load(PROJECT / "labs" / "devstack-aio.yaml")
    return sources.wanted(lab, rendering.stages(lab, mirrors=NO_MIRRORS), NO_MIRRORS)


def _read_smoke(lines: Sequence[str]) -> object:
    said: list[str] = []
    reader = smoke._StepReader(_Silent(said))  # type: ignore[arg-type]
    for line in lines:
        reader.take(line, 0.0)
    return reader.steps


class _Silent:
    """A context of which the progress alone is used."""

    def __init__(self, said: list[str]) -> None:
        self.progress = self
        self._said = said

    def say(self, _row: str, text: str) -> None:
        self._said.append(text)

    note = say


def _read_masked(lines: Sequence[str]) -> object:
    text = "\n".join(lines)
    secrets = frozenset({"Tr0ub4dorAndThree", "0" * 20})
    return masking.masked(text, secrets), mask.masked(text, secrets, is_all_secret=True)


def _read_ssh_error(lines: Sequence[str]) -> object:
    text = "\n".join(lines)
    return ssh.classify(text), ssh.trouble(text)


def _file_reader(read: Callable[[Path], object], refusal: type[Exception]) -> Callable[..., object]:
    def read_lines(lines: Sequence[str]) -> object:
        with tempfile.NamedTemporaryFile() as file:
            file.write("\n".join(lines).encode("latin-1", "replace"))
            file.flush()
            try:
                return read(Path(file.name))
            except refusal as error:
                return error

    return read_lines


_FIREWALL = (
    ":INPUT DROP [0:0]",
    "-A INPUT -i eth1 -p icmp -m icmp --icmp-type 8/0 -j DROP",
    "[1:60] -A INPUT -s 10.20.0.0/24 -p tcp -m tcp --dport 22 -m state --state NEW -j ACCEPT",
    "table inet filter {",
    "chain input {",
    "type filter hook input priority filter; policy drop;",
    'iifname "eth1" ip saddr 10.20.0.11 icmp type echo-request counter packets 1 bytes 84 drop',
    "}",
)
_STATUS = (
    "active active",
    "boot 1c2d",
    "begun 1c2d 1795170600.123456789",
    "ended exited 0 success 1795170700.1 running",
    "size 1234",
    "left-out 0",
    "digest 0123abcd",
    "free 123456",
)
_FILE = "[DEFAULT]\ndebug = True\n"
_OUTPUT = (
    "M at 0",
    "M chunk 0",
    base64.b64encode(b"hello").decode(),
    "M at 5",
    *(f"M status {line}" for line in _STATUS),
    "M end",
)

READERS: tuple[Reader, ...] = (
    *_families(),
    *map(_scene, SCENE),
    Reader("clock", ("1795170600.123456789",), _read_clock),
    Reader("tc", tuple(SCENE["tc"].splitlines()), lambda lines: tc.parse("\n".join(lines))),
    Reader("fping", ("10.0.0.1 : 0.12 - 3.4",), lambda lines: fping.parse("\n".join(lines))),
    Reader("answers-diff", (base64.b64encode(_FILE.encode()).decode(),), _read_file),
    Reader("unit-status", _STATUS, unit_status.parse_status),
    Reader("unit-output", _OUTPUT, _read_output),
    Reader(
        "departed",
        ('{"vm": "one", "node": "compute1"}', '{"done": "a"}', '{"left": "b"}'),
        lambda lines: departed._read(Said(lines=tuple(lines))),
    ),
    Reader(
        "smoke",
        ('{"begins": "boot"}', '{"name": "a", "ok": true, "seconds": 1.5, "detail": "b"}'),
        _read_smoke,
    ),
    Reader(
        "logs",
        (
            "M hello",
            "M begin journal.txt",
            "words",
            "M end journal.txt",
            "M begin files/a/b",
            "M bye",
        ),
        _read_logs,
    ),
    Reader("log-names", ("/var/log/nova/a.log",), lambda lines: [*map(logs_node.safe_path, lines)]),
    Reader("stage-log", ("==> a", "fatal: no such file", "+ make", "E: x"), _read_stage_log),
    Reader("console", ("[    1.2] Linux", "login: "), _read_console),
    Reader("source", ("by https://git.example", "fatal: unable to access"), _read_source),
    Reader(
        "masks",
        (
            "password = abc",
            "x://user:pass@host/",
            "-----BEGIN RSA PRIVATE KEY-----",
            "-----END RSA PRIVATE KEY-----",
            "admin_token: |",
            "  a: b",
            "Authorization: Bearer abc.def",
            "openstack --os-password abc",
        ),
        _read_masked,
    ),
    Reader(
        "ssh-error", ("HOST KEY FOR x HAS CHANGED", "Connection reset by peer"), _read_ssh_error
    ),
    Reader(
        "qcow2", ("QFI\xfb\0\0\0\3" + "\0" * 96,), _file_reader(qcow2.read, qcow2.NotPlainQcow2)
    ),
    Reader(
        "save-file",
        ("LibvirtQemudSave\2\0\0\0\1\0\0\0",),
        _file_reader(save_file.read, save_file.NotSaveFile),
    ),
)
assert len({reader.name for reader in READERS}) == len(READERS)
