"""Check a running lab: one session per node, all nodes at once, only what failed again."""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from stacklab.checks import script
from stacklab.checks.result import Check, CheckKind, CheckResult, CheckStatus, outcome
from stacklab.errors import CommandFailed, CommandTimedOut
from stacklab.model import CheckPolicy, Lab
from stacklab.paths import LabPaths
from stacklab.process import Command, Result, Runner
from stacklab.tools import ssh

_OUTPUT_MAX = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckEvent:
    """A node has answered: how far the checks are."""

    node: str
    attempt: int
    attempts: int
    passed: int  # of the whole lab's checks
    total: int
    waiting_for: CheckResult | None  # the first of this node's checks that does not pass yet

    def __str__(self) -> str:
        head = f"checks: {self.passed} of {self.total} passed"
        if self.waiting_for is None:
            return f"{head}, {self.node} is done"
        what = f"{self.waiting_for.check.title}: {self.waiting_for.detail}"
        return f"{head}, {self.node} waits for {what} (try {self.attempt} of {self.attempts})"


def check(
    lab: Lab,
    paths: LabPaths,
    runner: Runner,
    *,
    policy: CheckPolicy | None = None,
    only_kinds: Collection[CheckKind] | None = None,
    on_event: Callable[[CheckEvent], None] = lambda event: None,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[CheckResult, ...]:
    """Try every check that the spec promises; the results are in the spec's order.

    What does not pass is tried again `policy.retries` times, `policy.interval_s`
    apart. `on_event` is called in the caller's thread. Raises ToolNotFound only.
    """
    policy = policy or lab.checks
    checks = script.expected(lab, only_kinds)
    results: dict[Check, CheckResult] = {}
    attempts = policy.retries + 1
    for attempt in range(1, attempts + 1):
        pending = _pending(lab, checks, results)
        if not pending:
            break
        if attempt > 1:
            sleep(policy.interval_s)

        def take(node: str, found: tuple[CheckResult, ...], attempt: int = attempt) -> None:
            results.update((result.check, result) for result in found)
            passed = sum(result.is_passed for result in results.values())
            first = next((result for result in found if not result.is_passed), None)
            on_event(
                CheckEvent(
                    node=node,
                    attempt=attempt,
                    attempts=attempts,
                    passed=passed,
                    total=len(checks),
                    waiting_for=first,
                )
            )

        _at_once(lambda part: _session(lab, paths, runner, part), pending, take)
    return tuple(results[each] for each in checks)


def _pending(lab: Lab, checks: Sequence[Check], results: dict[Check, CheckResult]) -> list[tuple[Check, ...]]:
    """What has not passed yet, by node; a node with any of it has to log in again."""
    parts = []
    for node in lab.nodes:
        own = [each for each in checks if each.node == node.name]
        todo = {each for each in own if each not in results or not results[each].is_passed}
        if todo:
            parts.append(tuple(each for each in own if each in todo or each.kind is CheckKind.LOGIN))
    return parts


def _at_once(
    work: Callable[[tuple[Check, ...]], tuple[CheckResult, ...]],
    parts: Sequence[tuple[Check, ...]],
    take: Callable[[str, tuple[CheckResult, ...]], None],
) -> None:
    """Work on all parts in parallel and hand out each result as it comes, in this thread.

    Daemon threads, not an executor: Ctrl-C must not wait for a node that hangs.
    """
    done: queue.SimpleQueue[tuple[str, tuple[CheckResult, ...] | BaseException]] = queue.SimpleQueue()

    def one(part: tuple[Check, ...]) -> None:
        try:
            done.put((part[0].node, work(part)))
        except BaseException as error:  # raised again below, where somebody can see it
            done.put((part[0].node, error))

    for part in parts:
        threading.Thread(target=one, args=(part,), name=f"check {part[0].node}", daemon=True).start()
    for _ in parts:
        node, found = done.get()
        if isinstance(found, BaseException):
            raise found
        take(node, found)


def _session(lab: Lab, paths: LabPaths, runner: Runner, checks: tuple[Check, ...]) -> tuple[CheckResult, ...]:
    """Run one node's script; the first result is its login, which the session itself is."""
    login = next(each for each in checks if each.kind is CheckKind.LOGIN)
    marker = f"stacklab-{secrets.token_hex(8)}"
    turn = [node.name for node in lab.nodes].index(login.node)
    text = script.render(checks, marker, turn=turn)
    command = ssh.script_command(paths, login.node, text, timeout_s=script.time_limit_s(checks))
    try:
        result = runner.run(command)
    except (CommandTimedOut, CommandFailed) as error:
        return _not_reached(checks, ssh.classify(error.message) or error.message, error.message, command)
    answer = script.read(result.stdout, marker)
    if not answer.is_begun:
        said = result.stderr.strip() or result.stdout.strip()
        return _not_reached(checks, _cause(result), said, command, result.elapsed_s)
    entered = outcome(
        login, CheckStatus.PASSED, "logged in", elapsed_s=result.elapsed_s, command=str(command), output=result.stderr
    )
    return (entered, *script.judge(checks, answer, ended=_cause(result)))


def _cause(result: Result) -> str:
    """Say why a session ended: ssh's own reason, else the last thing that was written, else its code."""
    last = next((line.strip() for line in reversed(result.stderr.splitlines()) if line.strip()), "")
    return ssh.classify(result.stderr) or last[:200] or f"ssh ended with {result.exit_code}"


def _not_reached(
    checks: tuple[Check, ...], cause: str, said: str, command: Command, elapsed_s: float = 0.0
) -> tuple[CheckResult, ...]:
    return tuple(
        outcome(
            each,
            CheckStatus.FAILED if each.kind is CheckKind.LOGIN else CheckStatus.ERROR,
            cause if each.kind is CheckKind.LOGIN else "not reached",
            elapsed_s=elapsed_s if each.kind is CheckKind.LOGIN else 0.0,
            command=str(command) if each.kind is CheckKind.LOGIN else script.command_line(each),
            output=said[-_OUTPUT_MAX:] if each.kind is CheckKind.LOGIN else "",
        )
        for each in checks
    )
