"""`completion SHELL`: tab completion of tasks, options, labs, nodes, images and faults.

invoke completes tasks and options by `invoke --complete -- WORDS`. Its answers are replaced by
ours here, and the shells' scripts pass on the words as they are: invoke's own scripts lose an
empty last word, so that `lab.up <TAB>` can't be told from `lab.up<TAB>`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import invoke.program
from invoke import Collection, Exit
from invoke.parser import ParserContext

from stacklab.cli.framework.glue import Completes, task

SCRIPTS = Path(__file__).parent / "scripts"


@task("completion")
def completion(_c: Any, shell: Annotated[str, "bash, zsh or fish", Completes.SHELL]) -> None:
    """Print a shell's completion script: source <(./invoke completion bash)."""
    from stacklab.cli.tab.candidates import SHELLS
    from stacklab.errors import LabError
    from stacklab.words import suggest

    if shell not in SHELLS:
        hint = suggest(shell, SHELLS, label="shells")
        raise LabError(f"no completion for {shell!a} ({hint})", hint="./invoke completion bash")
    print((SCRIPTS / f"invoke.{shell}").read_text(), end="")


def _complete(*, collection: Collection, initial_context: ParserContext, **_others: object) -> None:
    """Print what can stand at the end of the line; called by invoke in place of its own."""
    from stacklab.cli.tab import candidates

    # sys.argv and not invoke's remainder, which is one text without the empty words.
    words: list[str] = []
    if "--" in sys.argv:
        words = sys.argv[sys.argv.index("--") + 2 :]  # the first one is `invoke` itself
    for candidate in candidates.complete_line(words or [""], collection, initial_context):
        print(candidate)
    raise Exit


invoke.program.complete = _complete
