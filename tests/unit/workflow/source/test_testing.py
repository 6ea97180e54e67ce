"""A project's own tests, as a node tells of them, and as they are shown."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from stacklab import spec
from stacklab.errors import CheckFailed, LabError, NotChecked
from stacklab.nodes.programs import Ended
from stacklab.nodes.protocol import Said
from stacklab.paths.project import LABS
from stacklab.views.hacking import project_tests as views
from stacklab.workflow.source import placed, testing
from stacklab.workflow.source.placed import Checkout
from stacklab.workflow.source.projects import project_named
from tests.hostile.test_tasks import EVERYTHING
from tests.unit.workflow.debug.test_debug import ALL
from tests.unit.workflow.fake_host import FakeHost

LAB = spec.load(LABS / "openstack-3node.yaml")
TOLD = (
    {
        "passed": [
            ["nova.tests.unit.test_a.A.test_one", 0.25],
            ["nova.tests.test_b.B.test[x, y]", 1],
        ]
    },
    {"test": "nova.tests.test_c.C.test_bad", "status": "fail", "seconds": 2.5, "detail": "1 != 2"},
    {"test": "nova.tests.test_c.C.test_left", "status": "skip", "seconds": 0, "detail": "no ceph"},
    {"passed": []},
    {"ran": 4},
)


@pytest.fixture
def cloud(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    """A lab that is up and has a source of nova on its controller."""
    host.stock("debian-12-openstack")
    host.up(LAB, with_stack=False)
    monkeypatch.setattr(testing, "list_services", lambda *_args: ALL)
    done = Checkout(directory="/src", commit="abc", listing={})
    placed.write_checkout(host.lab(LAB.name), project_named("nova"), "controller", done)
    return host


def told(monkeypatch: pytest.MonkeyPatch, *lines: object, why: str = "") -> None:
    said = Said(lines=tuple(map(json.dumps, lines)), code=1 if why else 0)
    monkeypatch.setattr(
        testing.programs, "run", lambda *_args, **_options: Ended(said=said, why=why)
    )


def test_all_tests_are_heard(cloud: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, *TOLD)
    tests = testing.run(cloud.context, LAB.name, "nova")
    assert [(test.status, test.seconds) for test in tests] == [
        ("success", 0.25),
        ("success", 1.0),
        ("fail", 2.5),
        ("skip", 0.0),
    ]
    with pytest.raises(CheckFailed, match="1 of 4 tests of nova failed: nova"):
        testing.raise_for("nova", tests)
    testing.raise_for("nova", [test for test in tests if test.is_good])
    assert "4 tests: 2 success, 1 fail, 1 skip" in str(views.shown(tests)[-1])


@pytest.mark.parametrize(
    ("lines", "why", "words"),
    [
        (({"failed": "no test has run: none fits the expression"},), "code 1", "no test has run"),
        (TOLD[:-1], "", "more than one session takes"),
        (({"ran": 7},), "", "more than one session takes"),
        ((), "no answer", "no answer"),
    ],
)
def test_a_run_of_no_tests_or_of_some_is_no_success(
    lines: tuple[object, ...],
    why: str,
    words: str,
    cloud: FakeHost,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told(monkeypatch, *lines, why=why)
    with pytest.raises(NotChecked, match=words):
        testing.run(cloud.context, LAB.name, "nova")


def test_a_project_that_was_not_checked_out_is_told(
    cloud: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, *TOLD)
    with pytest.raises(LabError, match="no node of openstack-3node has a source of glance"):
        testing.run(cloud.context, LAB.name, "glance")
    with pytest.raises(LabError, match="compute1 has no source of nova"):
        testing.run(cloud.context, LAB.name, "nova", node="compute1")


def test_junit_has_a_case_for_each(
    cloud: FakeHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told(monkeypatch, *TOLD)
    tests = testing.run(cloud.context, LAB.name, "nova")
    file = tmp_path / "x.xml"
    file.write_text(views.junit("openstack-3node.nova", tests))
    suite = ElementTree.parse(file).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "1")
    cases = [(case.get("classname"), case.get("name")) for case in suite]
    assert cases[0] == ("nova.tests.unit.test_a.A", "test_one")
    assert cases[1] == ("nova.tests.test_b.B", "test[x, y]")
    assert suite[2][0].text == "1 != 2"


def test_words_of_a_node_stay_words(cloud: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = {"test": EVERYTHING, "status": EVERYTHING, "seconds": "1e999", "detail": EVERYTHING}
    told(monkeypatch, hostile, {"passed": [[EVERYTHING, None], 7, ["x"]]}, {"ran": 2})
    tests = testing.run(cloud.context, LAB.name, "nova")
    text = "".join(map(str, views.shown(tests))) + views.junit("x", tests)
    assert "\x1b" not in text
    assert "\u202e" not in text
    ElementTree.fromstring(views.junit("x", tests))
