"""Check a running lab: one session per node, all nodes at once, only what failed again."""

from __future__ import annotations

import contextlib
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from stacklab.checks import plan
from stacklab.checks.family import Facts
from stacklab.checks.lookout import Lookout, States
from stacklab.checks.nodes import family as nodes
from stacklab.checks.reach import isolation
from stacklab.checks.result import HOST, Check, CheckKind, CheckResult, CheckStatus, Layer
from stacklab.errors import CommandFailed, CommandTimedOut
from stacklab.model.checks import CheckPolicy
from stacklab.model.lab import Lab
from stacklab.model.state import NodeState
from stacklab.nodes import protocol
from stacklab.nodes.protocol import Answer, Hearing
from stacklab.paths import LabPaths
from stacklab.process import Command, Conversing, Result
from stacklab.tools import ssh

__all__ = ["CheckEvent", "Mesh", "States"]

# More ssh clients than this slow each other down on a small host until they time out.
_SESSIONS_AT_ONCE = 50
# What the mesh judges itself, of all nodes together and after their sessions.
_TOGETHER = (CheckKind.STATE, CheckKind.CLOCK)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckEvent:
    """A node has answered: how far the checks are."""

    node: str
    attempt: int
    attempts: int  # 0: as many as there is time for
    passed: int  # of the whole lab's checks
    total: int
    waiting_for: CheckResult | None  # the first of this node's checks that does not pass yet

    def __str__(self) -> str:
        head = f"checks: {self.passed} of {self.total} passed"
        if self.waiting_for is None:
            return f"{head}, {self.node} is done"
        what = f"{self.waiting_for.check.title}: {self.waiting_for.detail}"
        tries = f"try {self.attempt} of {self.attempts}" if self.attempts else f"try {self.attempt}"
        return f"{head}, {self.node} waits for {what} ({tries})"


def _no_states() -> States:
    return {}


def _about_state(node: str, state: NodeState | None) -> tuple[str, str]:
    return (f"is {state}" if state else "its state is not known"), ""


@dataclass(kw_only=True)
class Mesh:
    """One run of a lab's checks.

    `states` says what each node's domain does ({} where nobody can tell), and is asked
    again and again in a thread of its own: a node that goes off is not waited for.
    `gather` finds what these checks are held against, anew for each try. `judge_host`
    judges what the host does itself. `as_expected` turns a result round where something
    is meant to be broken. `on_event` is called in the caller's thread.
    """

    lab: Lab
    paths: LabPaths
    runner: Conversing
    gather: Callable[[Sequence[Check]], Facts] = lambda checks: Facts()
    states: Callable[[], States] = _no_states
    # What to say, and what to type, of a node whose state is this (None: nobody can tell).
    about_state: Callable[[str, NodeState | None], tuple[str, str]] = _about_state
    judge_host: Callable[[Sequence[Check]], Iterable[CheckResult]] = lambda checks: ()
    as_expected: Callable[[CheckResult], CheckResult] = lambda result: result
    on_event: Callable[[CheckEvent], None] = lambda event: None
    sleep: Callable[[float], None] = time.sleep
    _facts: Facts = field(default_factory=Facts, init=False)
    # Which nodes would have had to answer the host for what was only warned of.
    _witnesses: dict[Check, frozenset[str]] = field(default_factory=dict, init=False)
    _offsets: dict[str, float] = field(default_factory=dict, init=False)
    _results: dict[Check, CheckResult] = field(default_factory=dict, init=False)
    # One at a time: it is Python's work alone, and side by side it holds memory for as many nodes.
    _thinking: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def check(
        self,
        checks: Sequence[Check] | None = None,
        *,
        policy: CheckPolicy | None = None,
        wait_s: float | None = None,
    ) -> tuple[CheckResult, ...]:
        """Try these checks, or every one that the spec promises; the results are in their order.

        What does not pass is tried again, `policy.interval_s` apart: `policy.retries`
        times, or with `wait_s` for as long as that. Raises ToolNotFound only.
        """
        policy = policy or self.lab.checks
        checks = plan.expected(self.lab) if checks is None else checks
        self._results, self._witnesses = {}, {}
        deadline = None if wait_s is None else time.monotonic() + wait_s
        with Lookout(self.states) as lookout:
            attempt, todo, was_last = 1, frozenset(checks), False
            while todo:
                self._attempt(
                    lookout,
                    checks,
                    todo,
                    attempt,
                    0 if deadline is not None else policy.retries + 1,
                )
                # Of all: a clock, or a login, that passed before may have been found wrong since.
                bad = frozenset(
                    c
                    for c in checks
                    if not self._is_over(c, lookout, is_waiting=deadline is not None)
                )
                # What lacks a witness comes with what failed, and once more after it: some never answer the host.
                todo = bad | self._unproved(lookout) if bad or not was_last else bad
                was_last = not bad
                left = (
                    policy.retries + 1 - attempt
                    if deadline is None
                    else deadline - time.monotonic()
                )
                if not todo or left <= 0:
                    break
                # The last try comes when the time is over, not before.
                self.sleep(policy.interval_s if deadline is None else min(policy.interval_s, left))
                attempt += 1
        return tuple(self._results.get(each) or _unanswered(each) for each in checks)

    def _unproved(self, lookout: Lookout) -> frozenset[Check]:
        """What was warned of for want of a node that answers the host, and may have one by now."""
        return frozenset(
            check
            for check, names in self._witnesses.items()
            if not all(lookout.why_not(name) for name in names)
        )

    def _is_over(self, check: Check, lookout: Lookout, *, is_waiting: bool) -> bool:
        """Whether it passed, has had its own tries on the node already, or is about a node that is off."""
        result = self._results.get(check)
        if result is None or result.is_passed:
            return result is not None
        if is_waiting:
            return False
        has_tried = result.status is CheckStatus.FAILED and check.kind.layer is Layer.CUSTOM
        # No node comes up by being tried again; each try would wait anew for what it can't answer.
        return has_tried or any(lookout.why_not(name) for name in (check.node, check.target))

    def _attempt(
        self,
        lookout: Lookout,
        checks: Sequence[Check],
        todo: AbstractSet[Check],
        attempt: int,
        attempts: int,
    ) -> None:
        """Try these once; their results replace those of the attempt before."""
        lookout.renew()
        self._facts = self.gather([check for check in checks if check in todo])
        passed = sum(result.is_passed for result in self._results.values())

        def take(node: str, found: tuple[CheckResult, ...]) -> None:
            nonlocal passed
            found = tuple(map(self.as_expected, found))
            for result in found:
                before = self._results.get(result.check)
                passed += result.is_passed - (before is not None and before.is_passed)
                self._results[result.check] = result
                self._witnesses.pop(result.check, None)
                is_warned = result.status is CheckStatus.WARNED
                if is_warned and (
                    wanting := isolation.witnesses(self.lab, result.check, self._facts)
                ):
                    self._witnesses[result.check] = wanting
            first = next((result for result in found if not result.is_passed), None)
            self.on_event(
                CheckEvent(
                    node=node,
                    attempt=attempt,
                    attempts=attempts,
                    passed=passed,
                    total=len(checks),
                    waiting_for=first,
                )
            )

        own = [c for c in checks if c in todo and c.node == HOST]
        if own:
            take(HOST, tuple(self.judge_host(own)))
        _at_once(lambda part: self._session(lookout, part), _by_node(checks, todo), take)
        lookout.renew()
        states = [c for c in checks if c.kind is CheckKind.STATE and c in todo]
        # All of them: a node that is heard later may show another one's to be wrong.
        clocks = [c for c in checks if c.kind is CheckKind.CLOCK]
        together = [self._judge_state(c, lookout.state(c.node)) for c in states]
        together += nodes.judge_clocks(clocks, self._offsets)
        self._results.update((result.check, self.as_expected(result)) for result in together)

    def _session(self, lookout: Lookout, checks: tuple[Check, ...]) -> tuple[CheckResult, ...]:
        """Run one node's script, and judge what it said; its login is the session itself."""
        name = checks[0].node
        if why := lookout.why_not(name):
            return _not_reached(checks, why)
        with self._thinking:
            parts = plan.parts(self.lab, self.lab.node(name), checks, self._facts)
        marker = f"stacklab-{secrets.token_hex(8)}"
        limit = ssh.patience_s(self.lab) + protocol.time_limit_s(parts)
        command = ssh.script_command(
            self.paths, name, protocol.render(parts, marker), timeout_s=limit
        )
        hearing = Hearing(marker)
        try:
            result = self.runner.converse(
                command, heard=hearing.hear, why_stop=lambda: lookout.why_not(name)
            )
            cause = _cause(result)
        except (CommandTimedOut, CommandFailed) as error:
            cause = (
                lookout.why_not(name)
                or ssh.classify(error.message)
                or error.message.partition("\n")[0]
            )
            result = Result(exit_code=ssh.UNREACHED, stderr=error.message)
        answer = hearing.answer(why_cut=cause)
        if not answer.is_begun:
            return _not_reached(checks, cause, result.stderr.strip(), command, result.elapsed_s)
        with self._thinking:
            return self._judge(checks, answer, command, result)

    def _judge(
        self, checks: Sequence[Check], answer: Answer, command: Command, result: Result
    ) -> tuple[CheckResult, ...]:
        login = next((check for check in checks if check.kind is CheckKind.LOGIN), None)
        entered = () if login is None else (_entered(login, answer, command, result),)
        name = checks[0].node
        if any(check.kind is CheckKind.CLOCK for check in checks):
            self._offsets.pop(name, None)
            delay_ms = self.lab.node(name).access.impairment.delay_ms
            if (offset := nodes.clock_offset_s(answer, delay_ms)) is not None:
                self._offsets[name] = offset
        others = [c for c in checks if c.kind is not CheckKind.LOGIN and c.kind not in _TOGETHER]
        return (*entered, *plan.judge(self.lab, others, answer, self._facts))

    def _judge_state(self, check: Check, state: NodeState | None) -> CheckResult:
        if state is NodeState.RUNNING:
            return CheckResult(check=check, status=CheckStatus.PASSED, detail=f"is {state}")
        status = CheckStatus.ERROR if state is None else CheckStatus.FAILED
        detail, command = self.about_state(check.node, state)
        return CheckResult(check=check, status=status, detail=detail, command=command)


def _by_node(checks: Sequence[Check], todo: AbstractSet[Check]) -> list[tuple[Check, ...]]:
    """What sessions are to try, by node; a node with any of it has to log in again."""
    own: dict[str, list[Check]] = {}
    has_todo = {check.node for check in todo if check.kind is not CheckKind.STATE}
    for check in checks:
        is_tried = check in todo or check.kind is CheckKind.LOGIN
        if (
            check.node in has_todo
            and is_tried
            and check.node != HOST
            and check.kind is not CheckKind.STATE
        ):
            own.setdefault(check.node, []).append(check)
    return [tuple(each) for each in own.values()]


def _at_once(
    work: Callable[[tuple[Check, ...]], tuple[CheckResult, ...]],
    parts: Sequence[tuple[Check, ...]],
    take: Callable[[str, tuple[CheckResult, ...]], None],
) -> None:
    """Work on all parts in parallel and hand out each result as it comes, in this thread.

    Daemon threads, not an executor: Ctrl-C must not wait for a node that hangs.
    """
    waiting: queue.SimpleQueue[tuple[Check, ...]] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, tuple[CheckResult, ...] | BaseException]] = (
        queue.SimpleQueue()
    )

    def one() -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                part = waiting.get_nowait()
                try:
                    done.put((part[0].node, work(part)))
                except BaseException as error:  # raised again below, where somebody can see it
                    done.put((part[0].node, error))

    for part in parts:
        waiting.put(part)
    for number in range(min(len(parts), _SESSIONS_AT_ONCE)):
        threading.Thread(target=one, name=f"check {number}", daemon=True).start()
    for _ in parts:
        node, found = done.get()
        if isinstance(found, BaseException):
            raise found
        take(node, found)


def _cause(result: Result) -> str:
    """Say why a session ended: ssh's own reason, else the last thing that was written, else its code."""
    last = next((line.strip() for line in reversed(result.stderr.splitlines()) if line.strip()), "")
    return ssh.classify(result.stderr) or last[:200] or f"ssh ended with {result.exit_code}"


def _unanswered(check: Check) -> CheckResult:
    return CheckResult(check=check, status=CheckStatus.ERROR, detail="nobody could tell")


def _entered(login: Check, answer: Answer, command: Command, result: Result) -> CheckResult:
    return CheckResult(
        check=login,
        status=CheckStatus.PASSED,
        detail="logged in",
        elapsed_s=result.elapsed_s,
        command="" if answer.is_complete else str(command),
        output=result.stderr[-protocol.OUTPUT_MAX :],
    )


def _not_reached(
    checks: Sequence[Check],
    cause: str,
    said: str = "",
    command: Command | None = None,
    elapsed_s: float = 0.0,
) -> tuple[CheckResult, ...]:
    def one(check: Check) -> CheckResult:
        if check.kind is not CheckKind.LOGIN:
            return CheckResult(
                check=check, status=CheckStatus.ERROR, detail=f"not reached: {cause}"
            )
        return CheckResult(
            check=check,
            status=CheckStatus.FAILED,
            detail=cause,
            elapsed_s=elapsed_s,
            command=str(command) if command else "",
            output=said[-protocol.OUTPUT_MAX :],
        )

    return tuple(map(one, checks))
