"""The probe that times all peers: what it waits for, and what ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from stacklab.dev.peers import race
from stacklab.dev.peers.probe import Probe
from stacklab.dev.peers.race import Start
from stacklab.errors import CommandFailed, LabError
from stacklab.process import Command, Result
from stacklab.tools.network.knock import Door, Knock

OPEN = Knock(door=Door.OPEN, said="SSH-2.0-OpenSSH_9.2")
REFUSED = Knock(door=Door.REFUSED, said="Connection refused")
OTHER = Knock(door=Door.OTHER, said="something else than sshd answers")


class Ports:
    """Port 22 of some addresses, which say one thing after the other, the last one for ever."""

    def __init__(self, **answers: list[Knock]) -> None:
        self._answers = {f"10.0.0.{name[1:]}": said for name, said in answers.items()}
        self._lock = threading.Lock()
        self.knocks: list[str] = []

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(self._answers)

    def knock(self, address: str) -> Knock:
        with self._lock:
            self.knocks.append(address)
            answers = self._answers[address]
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def probe(self, addresses: tuple[str, ...] = ()) -> Probe:
        return Probe(addresses or self.addresses, knock=self.knock)


def test_it_waits_until_sshd_says_its_name_on_all_addresses() -> None:
    ports = Ports(n1=[OPEN], n2=[REFUSED, REFUSED, OPEN], n3=[REFUSED, OPEN])
    answered = ports.probe().wait(limit_s=30)
    assert set(answered) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    assert answered["10.0.0.1"] < answered["10.0.0.3"] < answered["10.0.0.2"]
    # What has answered is left alone: the node has work to do.
    assert ports.knocks.count("10.0.0.1") == 1


def test_what_is_not_sshd_is_no_answer() -> None:
    ports = Ports(n1=[OPEN], n2=[OTHER])
    with pytest.raises(LabError, match=r"^no ssh within 0 s: 10\.0\.0\.2 \(.*\)$"):
        ports.probe().wait(limit_s=0.3)


def test_a_reason_to_stop_ends_the_wait() -> None:
    ports = Ports(n1=[REFUSED])
    with pytest.raises(LabError, match=r"^it failed$"):
        ports.probe().wait(limit_s=30, why_stop=lambda: "it failed")


def test_nothing_may_answer_before_the_start() -> None:
    ports = Ports(n1=[REFUSED], n2=[OPEN])
    with pytest.raises(LabError, match=r"^10\.0\.0\.2 answers before the nodes are started"):
        ports.probe().refuse_answers()
    Ports(n1=[REFUSED], n2=[OTHER]).probe().refuse_answers()


# --- a command that is timed


class Program:
    """A runner of one command, which goes on until it is stopped or `ends` is set."""

    def __init__(self, act: Callable[[threading.Event], None]) -> None:
        self._act = act
        self.stopped = threading.Event()
        self.is_over = False

    def run(self, _command: Command) -> Result:
        try:
            self._act(self.stopped)
        finally:
            self.is_over = True
        return Result(exit_code=0)

    def stop_all(self) -> None:
        self.stopped.set()


def fail(_stopped: threading.Event) -> None:
    raise CommandFailed("kcli create ended with 1\n  | no pool")


def go_on(stopped: threading.Event) -> None:
    assert stopped.wait(30)
    raise CommandFailed("ended by SIGINT")


def start_of(ports: Ports, limit_s: float = 30.0) -> Start:
    return Start(command=Command(argv=("up",)), addresses=ports.addresses, limit_s=limit_s)


def run(ports: Ports, program: Program, limit_s: float = 30.0) -> race.Finish:
    return race.run(start_of(ports, limit_s), program, make_probe=ports.probe)


def test_a_start_is_timed_until_all_answer_and_its_command_until_it_ends() -> None:
    ports = Ports(n1=[REFUSED, REFUSED, OPEN], n2=[REFUSED, OPEN])
    finish = run(ports, Program(lambda _stopped: None))
    assert finish.command_s < finish.ready_s


def test_a_command_that_fails_ends_the_wait_with_its_reason() -> None:
    ports = Ports(n1=[REFUSED])
    with pytest.raises(LabError, match=r"^kcli create ended with 1"):
        run(ports, Program(fail))


def test_a_command_that_fails_once_its_nodes_answer_has_failed() -> None:
    ports = Ports(n1=[REFUSED, OPEN])

    def fail_late(stopped: threading.Event) -> None:
        while len(ports.knocks) < 2:
            stopped.wait(0.01)
        stopped.wait(0.5)
        fail(stopped)

    with pytest.raises(LabError, match=r"^the nodes answered, but then: kcli create ended with 1"):
        run(ports, Program(fail_late))


def test_a_command_does_not_run_on_when_time_is_up() -> None:
    program = Program(go_on)
    with pytest.raises(LabError, match=r"^no ssh within"):
        run(Ports(n1=[REFUSED]), program, limit_s=0.3)
    assert program.stopped.is_set()
    assert program.is_over


def test_a_command_does_not_run_on_after_ctrl_c() -> None:
    program = Program(go_on)

    class Interrupted(Probe):
        def wait(self, **_options: object) -> dict[str, float]:
            raise KeyboardInterrupt

    ports = Ports(n1=[REFUSED])
    with pytest.raises(KeyboardInterrupt):
        race.run(
            start_of(ports),
            program,
            make_probe=lambda addresses: Interrupted(addresses, knock=ports.knock),
        )
    assert program.stopped.is_set()
    assert program.is_over


def test_nothing_is_started_where_something_answers_already() -> None:
    program = Program(fail)
    with pytest.raises(LabError, match="answers before"):
        run(Ports(n1=[OPEN]), program)
    assert not program.is_over


def test_a_bug_in_a_runner_is_not_hidden() -> None:
    def break_down(_stopped: threading.Event) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(Ports(n1=[REFUSED]), Program(break_down))
