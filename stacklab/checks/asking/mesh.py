"""Check a running lab: one session per node, all nodes at once, only what failed again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from stacklab.checks import answers
from stacklab.checks.asking.at_once import at_once, sessions_to_try
from stacklab.checks.asking.lookout import Lookout, States
from stacklab.checks.asking.patience import Patience
from stacklab.checks.asking.session_results import (
    as_node_off,
    login_result,
    unanswered_result,
    unreached_results,
    unreadable_results,
)
from stacklab.checks.families import Families
from stacklab.checks.family import AboutState, Facts, Family, Overview, about_state
from stacklab.checks.result import (
    HOST,
    Check,
    CheckKind,
    CheckResult,
    CheckStatus,
    Reason,
    checks_of_kind,
)
from stacklab.model.checks import CheckPolicy
from stacklab.model.lab import Lab, Node
from stacklab.nodes import protocol, session
from stacklab.nodes.guard import guarded
from stacklab.nodes.protocol import Answer
from stacklab.nodes.session import Reply
from stacklab.paths import LabPaths
from stacklab.process.command import Conversing
from stacklab.tools import ssh

__all__ = ["CheckEvent", "Mesh", "States"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckEvent:
    """The progress of the checks, after a node has answered."""

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
        tries = f"try {self.attempt}"
        if self.attempts:
            tries += f" of {self.attempts}"
        return f"{head}, {self.node} waits for {what} ({tries})"


def _no_states() -> States:
    """Return that nobody can tell what any node does."""
    return {}


@dataclass(kw_only=True)
class Mesh:
    """One run of a lab's checks.

    `states` says what each node's domain does ({} where nobody can tell), and is asked
    again and again in a thread of its own, so that nobody waits for a node that goes off.
    `gather` finds what these checks are held against, again for each try. `judge_host`
    judges the checks that the host does itself. `as_expected` turns a result round where
    something is meant to be broken. `on_event` is called in the caller's thread.
    """

    families: Families
    lab: Lab
    paths: LabPaths
    runner: Conversing
    gather: Callable[[Sequence[Check]], Facts] = lambda checks: Facts()
    states: Callable[[], States] = _no_states
    about_state: AboutState = about_state
    judge_host: Callable[[Sequence[Check]], Iterable[CheckResult]] = lambda checks: ()
    as_expected: Callable[[CheckResult], CheckResult] = lambda result: result
    on_event: Callable[[CheckEvent], None] = lambda event: None
    sleep: Callable[[float], None] = time.sleep
    _facts: Facts = field(default_factory=Facts, init=False)
    # Which nodes would have to answer the host before a warning of isolation can be settled.
    _witnesses: dict[Check, frozenset[str]] = field(default_factory=dict, init=False)
    _measured: dict[Family, dict[str, float]] = field(default_factory=dict, init=False)
    _results: dict[Check, CheckResult] = field(default_factory=dict, init=False)
    # Judging is CPU-bound: one node at a time, so that only its parsed output is in memory.
    _judging: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

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
        if checks is None:
            checks = self.families.expected(self.lab)
        self._results, self._witnesses, self._measured = {}, {}, {}
        if wait_s is None:
            patience = Patience(interval_s=policy.interval_s, tries=policy.retries + 1)
        else:
            patience = Patience.for_seconds(wait_s, interval_s=policy.interval_s)
        with Lookout(self.states) as lookout:
            self._try_until_passed(lookout, checks, patience)
        return tuple(self._results.get(check) or unanswered_result(check) for check in checks)

    def _try_until_passed(
        self, lookout: Lookout, checks: Sequence[Check], patience: Patience
    ) -> None:
        """Try what does not pass, again and again, for as long as patience lasts."""
        is_waiting = patience.deadline is not None
        attempt = 1
        todo = frozenset(checks)
        was_settled = False  # nothing but inconclusive checks was left after the attempt before
        while todo:
            self._try_once(lookout, checks, todo, attempt, patience.tries)
            # Of all checks: a clock or a login that passed may have been found wrong since.
            bad = frozenset(
                check for check in checks if not self._is_settled(check, lookout, is_waiting)
            )
            # Retry inconclusive isolation checks whenever something else is retried, plus once
            # at the end: the nodes that would prove something may answer the host by then.
            todo = bad
            if bad or not was_settled:
                todo |= self._inconclusive(lookout)
            was_settled = not bad
            if not todo or patience.left(attempt) <= 0:
                break
            self.sleep(patience.pause_s(attempt))
            attempt += 1

    def _inconclusive(self, lookout: Lookout) -> frozenset[Check]:
        """Return what has a warning for want of a node that may answer the host by now."""
        inconclusive: set[Check] = set()
        for check, names in self._witnesses.items():
            if not all(map(lookout.why_not, names)):
                inconclusive.add(check)
        return frozenset(inconclusive)

    def _is_settled(self, check: Check, lookout: Lookout, is_waiting: bool) -> bool:
        """Return True if trying a check again is useless.

        It has passed, the node has tried it several times already, or a node of it is off.
        """
        result = self._results.get(check)
        if result is None:
            return False
        if result.is_passed:
            return True
        if is_waiting:
            return False
        if result.status is CheckStatus.FAILED and check.kind.traits.has_own_retries:
            return True
        # Trying again brings no node up, and each try would wait for what it can't answer.
        return any(lookout.why_not(name) for name in (check.node, check.target))

    def _try_once(
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

        def take(node: str, results: tuple[CheckResult, ...]) -> None:
            nonlocal passed
            results = tuple(map(self.as_expected, results))
            passed += sum(map(self._keep_result, results))
            waiting_for = [result for result in results if not result.is_passed]
            event = CheckEvent(
                node=node,
                attempt=attempt,
                attempts=attempts,
                passed=passed,
                total=len(checks),
                waiting_for=waiting_for[0] if waiting_for else None,
            )
            self.on_event(event)

        of_host = [check for check in checks if check in todo and check.node == HOST]
        if of_host:
            take(HOST, tuple(self.judge_host(of_host)))
        sessions = sessions_to_try(checks, todo)
        at_once(lambda part: self._ask_and_judge(lookout, part), sessions, take)
        # What is judged of all nodes is held against their states after the last session.
        lookout.renew()
        for result in self._judge_together(lookout, checks, todo):
            self._results[result.check] = self.as_expected(result)

    def _keep_result(self, result: CheckResult) -> int:
        """Keep a result; returns how many more have passed: -1, 0 or 1."""
        before = self._results.get(result.check)
        self._results[result.check] = result
        self._witnesses.pop(result.check, None)
        if result.status is CheckStatus.WARNED:
            family = self.families.family_of(result.check)
            names = family.witnesses(self.lab, result.check, self._facts)
            if names:
                self._witnesses[result.check] = names
        was_passed = before is not None and before.is_passed
        return result.is_passed - was_passed

    def _judge_together(
        self, lookout: Lookout, checks: Sequence[Check], todo: AbstractSet[Check]
    ) -> list[CheckResult]:
        """Judge what can only be judged of all nodes, when all sessions are over."""
        together = [check for check in checks if check.kind.traits.is_together]
        states = {check.node: lookout.state(check.node) for check in together}
        results: list[CheckResult] = []
        for family, its_checks in self.families.group(together):
            overview = Overview(
                states=states,
                measured=self._measured.get(family, {}),
                due=todo,
                about_state=self.about_state,
            )
            results += family.together(self.lab, its_checks, overview)
        return results

    def _ask_and_judge(
        self, lookout: Lookout, checks: tuple[Check, ...]
    ) -> tuple[CheckResult, ...]:
        """Ask one node, and judge its answer; its login is the session itself."""
        name = checks[0].node
        why_off = lookout.why_not(name)
        if why_off:
            return unreached_results(checks, Reason.NODE_OFF, why_off)
        with self._judging:
            parts = self.families.parts(self.lab, self.lab.node(name), checks, self._facts)
        stopped: list[str] = []  # why the session was broken off, if it was

        def why_stop() -> str:
            why = lookout.why_not(name)
            if why:
                stopped.append(why)
            return why

        reply = session.ask(
            self.runner,
            self.paths,
            name,
            parts,
            limit_s=ssh.patience_s(self.lab) + protocol.time_limit_s(parts),
            why_stop=why_stop,
        )
        reason = Reason.NODE_OFF if stopped else answers.connection(reply.result.stderr)
        if not reply.answer.is_begun:
            return unreached_results(checks, reason, reply.why, reply)
        with self._judging:
            # A hostile node's answer may break a judge: that must not cost other nodes' results.
            results = guarded(
                lambda: self._judge_reply(checks, reply),
                lambda why: unreadable_results(checks, why, reply),
            )
        if stopped:
            results = tuple(map(as_node_off, results))
        return results

    def _judge_reply(self, checks: Sequence[Check], reply: Reply) -> tuple[CheckResult, ...]:
        """Judge one node's answer; what needs the other nodes is only measured here."""
        answer = reply.answer
        node = self.lab.node(checks[0].node)
        together: list[Check] = []
        alone: list[Check] = []
        for check in checks:
            if check.kind.traits.is_together:
                together.append(check)
            elif check.kind is not CheckKind.LOGIN:
                alone.append(check)
        for family, _ in self.families.group(together):
            self._keep_measurement(family, node, answer)
        login_checks = checks_of_kind(checks, CheckKind.LOGIN)
        logins = [login_result(check, reply) for check in login_checks]
        return (*logins, *self.families.judge(self.lab, alone, answer, self._facts))

    def _keep_measurement(self, family: Family, node: Node, answer: Answer) -> None:
        """Keep the number that the family takes from a node's answer; an old one is forgotten."""
        measured = self._measured.setdefault(family, {})
        measured.pop(node.name, None)
        number = family.measure(self.lab, node, answer)
        if number is not None:
            measured[node.name] = number
