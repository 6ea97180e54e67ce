from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from invoke.parser import Parser

import tasks
from stacklab import spec
from stacklab.paths.project import PROJECT
from stacklab.workflow.lab import lifetime
from tests import ci_recipes
from tests.ci_recipes import Job

JOBS = ci_recipes.jobs()
README = (ci_recipes.DOCS / "README.md").read_text()


def understood(words: list[str]) -> dict[str, object]:
    """Return the task's name and options, as read by invoke's parser: it raises on others."""
    context = Parser(contexts=tasks.ns.to_contexts()).parse_argv(words)[0]
    return {
        "task": context.name,
        **{name: argument.value for name, argument in context.args.items()},
    }


def tasks_of(job: Job) -> list[str]:
    return [words[0] for words in job.invocations]


def test_there_is_a_file_for_each_of_both() -> None:
    assert [path.name for path in ci_recipes.FILES] == ["github-actions.yml", "gitlab-ci.yml"]
    assert len(JOBS) == 5


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_every_command_is_a_task_with_such_options(job: Job) -> None:
    assert len(job.invocations) == sum(step.shell.count("./invoke ") for step in job.steps)
    for words in job.invocations:
        found = understood(words)
        assert found["task"] == words[0]
        if found.get("ttl"):
            assert lifetime.ttl_s(str(found["ttl"])) == 7200
        if "name" in found and words[0] not in ("image.build", "lab.snapshot"):
            assert found["name"] in spec.names(PROJECT / "labs")


@pytest.mark.parametrize(
    "words", [["lab.up", "mini-2node", "--tll", "2h"], ["lab.chek", "x"], ["lab.up"]]
)
def test_a_command_that_is_none_would_be_found(words: list[str]) -> None:
    with pytest.raises(Exception, match=r"No idea|did not receive|found none"):
        understood(words)


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_a_job_goes_up_with_a_ttl_checks_and_destroys_always(job: Job) -> None:
    names = [
        name for name in tasks_of(job) if name in ("lab.up", "lab.check", "lab.logs", "lab.destroy")
    ]
    assert set(names) == {"lab.up", "lab.check", "lab.logs", "lab.destroy"}
    (up,) = (words for words in job.invocations if words[0] == "lab.up")
    (check,) = (words for words in job.invocations if words[0] == "lab.check")
    assert understood(up)["ttl"]
    options = understood(check)
    assert all(str(options[each]).startswith("reports/") for each in ("junit", "html", "json"))
    destroying = next(step for step in job.steps if "lab.destroy" in step.shell)
    assert destroying.when == "always" or "trap finish EXIT" in destroying.shell


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_what_cleans_up_is_not_kept_from_it_by_logs_that_fail(job: Job) -> None:
    for step in job.steps:
        if "lab.logs" in step.shell and "lab.destroy" in step.shell:
            assert re.search(r"lab\.logs [^\n]*\|\| true\n", step.shell), "the shell runs with -e"


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_a_failed_check_fails_the_job_and_a_warning_does_not(job: Job) -> None:
    shell = next(step.shell for step in job.steps if "lab.check" in step.shell)
    (line,) = (line for line in shell.splitlines() if "lab.check" in line)
    assert "--strict" not in line
    assert "||" not in line
    assert job.ok_codes == (0,)


def test_who_stays_reaps_before_he_begins() -> None:
    staying = [job for job in JOBS if job.name in ("lab-self-hosted", "lab")]
    reaping = [str(job) for job in staying if tasks_of(job)[0] == "lab.reap"]
    assert reaping == ["github-actions.yml:lab-self-hosted", "gitlab-ci.yml:lab"]


def test_the_cache_is_of_images_and_keyed_by_what_they_are_made_of() -> None:
    github, gitlab = (yaml.safe_load(path.read_text()) for path in ci_recipes.FILES)
    steps = github["jobs"]["lab"]["steps"]
    caches = [each["with"] for each in steps if each.get("uses", "").startswith("actions/cache")]
    assert len(caches) == 2
    assert caches[0] == caches[1]
    assert caches[0]["key"] == "stacklab-images-${{ hashFiles('packer/**') }}"
    assert caches[0]["path"] == "/var/lib/stacklab/images"
    cache = gitlab["lab-in-container"]["cache"]
    assert len(cache["key"]["files"]) <= 2
    assert all((PROJECT / each).is_file() for each in cache["key"]["files"])
    home = gitlab["lab-in-container"]["variables"]["STACKLAB_HOME"]
    assert cache["paths"] == [f"{home.removeprefix('$CI_PROJECT_DIR/')}/images/"]


def test_a_bundle_is_cached_by_the_key_that_lab_export_prints() -> None:
    github = yaml.safe_load((ci_recipes.DOCS / "github-actions.yml").read_text())
    steps = github["jobs"]["lab-from-bundle"]["steps"]
    (key,) = (step for step in steps if "--key" in step.get("run", ""))
    caches = [step["with"] for step in steps if "lab.tar.zst" in str(step.get("with"))]
    assert [cache["key"] for cache in caches] == [f"${{{{ steps.{key['id']}.outputs.key }}}}"] * 2
    (job,) = (job for job in JOBS if job.name == "lab-from-bundle")
    names = tasks_of(job)
    # The key is asked for before there is a lab, and the lab comes up whatever the bundle is.
    wanted = ["image.build", "lab.export", "lab.import", "lab.up", "lab.export"]
    assert names[: len(wanted)] == wanted
    assert understood(job.invocations[1])["key"] is True
    for step in job.steps:
        if "lab.import" in step.shell or "--out lab.tar.zst" in step.shell:
            assert "|| true\n" in step.shell


def test_every_action_is_pinned_to_a_version() -> None:
    used = re.findall(r"uses: (\S+)", (ci_recipes.DOCS / "github-actions.yml").read_text())
    assert used
    assert all(re.fullmatch(r"actions/[a-z/-]+@v\d+", each) for each in used)


def test_the_readme_s_commands_are_tasks_too() -> None:
    lines = [
        found.strip(" `")
        for found in re.findall(r"(?:\./invoke|/srv/stacklab/invoke) ([a-z.]+[^`>\n]*)", README)
    ]
    assert len(lines) >= 3
    for line in lines:
        understood(shlex.split(line))
    assert all((ci_recipes.DOCS / name).is_file() for name in re.findall(r"\]\(([^)]+)\)", README))


def test_these_files_name_nobody() -> None:
    for path in [*ci_recipes.FILES, Path(ci_recipes.DOCS / "README.md")]:
        assert not re.search(r"https?://|@[a-z]+\.", path.read_text()), path
        assert str(PROJECT) not in path.read_text(), path
