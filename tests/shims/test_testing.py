from __future__ import annotations

from pathlib import Path

import pytest

from stacklab.dev import testing


@pytest.fixture(autouse=True)
def _without_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the inner pytest start without our plug-ins: importing them is slower than its tests."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def _step(tests: Path, *options: str) -> testing._TestRun:
    argv = (
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tests.parent),
        *options,
        str(tests),
    )
    return testing._TestRun("some tests", argv, report="some.xml")


def _end(out: str) -> str:
    """What a reader of the last lines finds."""
    return out.rpartition("== failed: some tests\n")[2]


def test_what_failed_is_told_once_more_at_the_end(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tests = tmp_path / "test_some.py"
    tests.write_text("def test_well():\n    pass\n\n\ndef test_ill():\n    assert 40 + 2 == 54\n")
    assert testing._run((_step(tests),), tmp_path) == 1
    said = _end(capfd.readouterr().out)
    assert "test_some.py::test_ill\n" in said
    assert "assert (40 + 2) == 54" in said
    assert "test_well" not in said


def test_of_many_failures_the_first_are_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tests = tmp_path / "test_some.py"
    tests.write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('n', range(25))\n"
        "def test_ill(n):\n"
        "    assert n < 0\n"
    )
    assert testing._run((_step(tests),), tmp_path) == 1
    said = _end(capfd.readouterr().out)
    assert said.count("test_some.py::test_ill[") == 20
    assert f"and 5 more: {tmp_path / 'some.xml'}" in said


def test_a_pytest_that_never_ran_leaves_no_old_failures(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "some.xml").write_text(
        "<testsuite><testcase name='old'><failure>x</failure></testcase></testsuite>"
    )
    assert testing._run((_step(tmp_path, "--no-such-option"),), tmp_path) == 1
    assert "ended before it wrote its report" in _end(capfd.readouterr().out)


def test_a_pytest_that_found_nothing_to_run_is_told_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tests = tmp_path / "test_some.py"
    tests.write_text("\n")
    assert testing._run((_step(tests),), tmp_path) == 1
    assert _end(capfd.readouterr().out) == "  no test failed, but pytest did: see above\n"


def test_nothing_is_added_where_all_passes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tests = tmp_path / "test_some.py"
    tests.write_text("def test_well():\n    pass\n")
    assert testing._run((_step(tests),), tmp_path) == 0
    assert "failed" not in capfd.readouterr().out


def test_each_part_tells_its_slowest_files(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testing, "_LONG_S", 0.2)
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_slow.py").write_text(
        "import time\ndef test_a():\n    time.sleep(0.3)\n\ndef test_b():\n    pass\n"
    )
    (tests / "test_quick.py").write_text("def test_c():\n    pass\n")
    assert testing._run((_step(tests),), tmp_path) == 0
    said = capfd.readouterr().out
    assert "test_slow.py, 2 tests, longest 0 s: test_a\n" in said
    assert "test_quick.py" not in said
