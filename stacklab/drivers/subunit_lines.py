"""Run a program that writes subunit, and write a line of JSON for each test that has ended.

Runs in a venv that has subunit and testtools; the program and its arguments are ours:

    python -m stacklab.drivers.subunit_lines tempest run --subunit ...

Ends with the program's exit code.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from typing import Any

_DETAIL_MAX = 20_000


def told(test: dict[str, Any]) -> None:
    """Write a line for a test; one that was only listed has not ended."""
    if test["status"] == "exists":
        return
    began, ended = test["timestamps"]
    line = {
        "test": test["id"],
        "status": test["status"],
        "seconds": (ended - began).total_seconds() if began and ended else 0.0,
    }
    if test["status"] not in ("success", "xfail"):
        # The end is what people see: not the log, but where it failed.
        named = sorted(test["details"].items(), key=lambda each: "traceback" in each[0])
        details = [detail.as_text() for _, detail in named]
        line["detail"] = "\n".join(details)[-_DETAIL_MAX:]
    print(json.dumps(line), flush=True)


def _with_words(stream_to_dict: type) -> Any:  # noqa: ANN401  testtools'
    """Return the class with one thing more: what is not subunit goes to stderr."""

    class TestsAndWords(stream_to_dict):
        def status(self, **event: Any) -> None:  # noqa: ANN401  testtools'
            if event.get("test_id") is None and event.get("file_bytes") is not None:
                sys.stderr.buffer.write(event["file_bytes"])
            else:
                super().status(**event)

    return TestsAndWords


def main(argv: list[str]) -> int:
    """Run the program, and read what it writes."""
    testtools = importlib.import_module("testtools")
    subunit = importlib.import_module("subunit")
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        result = _with_words(testtools.StreamToDict)(told)
        result.startTestRun()
        subunit.ByteStreamToStreamResult(process.stdout, non_subunit_name="words").run(result)
        result.stopTestRun()
        return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
