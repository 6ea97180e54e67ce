"""Sessions with many nodes at once."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from stacklab.checks.result import Check, CheckKind, CheckResult

# More ssh clients than this slow each other down on a small host until they time out.
_SESSIONS_AT_ONCE = 50


def at_once(
    work: Callable[[tuple[Check, ...]], tuple[CheckResult, ...]],
    parts: Sequence[tuple[Check, ...]],
    take: Callable[[str, tuple[CheckResult, ...]], None],
) -> None:
    """Work on all parts in parallel, and hand out each result in this thread as it comes.

    Daemon threads, not an executor: Ctrl-C must not wait for a node that hangs.
    """
    waiting: queue.SimpleQueue[tuple[Check, ...]] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, tuple[CheckResult, ...] | BaseException]] = (
        queue.SimpleQueue()
    )

    def work_on_all() -> None:
        """Take parts until none is left; one thread of several."""
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
        threading.Thread(target=work_on_all, name=f"check {number}", daemon=True).start()
    # As many outcomes as parts, in the order in which they come.
    for _ in parts:
        node, results = done.get()
        if isinstance(results, BaseException):
            raise results
        take(node, results)


def sessions_to_try(checks: Sequence[Check], todo: AbstractSet[Check]) -> list[tuple[Check, ...]]:
    """List what sessions are to try, by node; a node with any of it has to log in again."""
    of_sessions = [check for check in checks if check.kind.traits.needs_session]
    busy = {check.node for check in of_sessions if check in todo}
    by_node: dict[str, list[Check]] = {}
    for check in of_sessions:
        is_tried = check in todo or check.kind is CheckKind.LOGIN
        if is_tried and check.node in busy:
            by_node.setdefault(check.node, []).append(check)
    return [tuple(its_checks) for its_checks in by_node.values()]
