"""Files that strangers wrote, remade: a folder per kind of mistake of ours, and what is said.

expected.txt begins with what each file is judged by; findings follow with their severity.
case.json may hold {"release": NAME, "kind": WORD}.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stacklab.installers import linting as lint

CASES = sorted((Path(__file__).parent / "cases").iterdir())
OWN = frozenset({"expected.txt", "case.json"})

Compare = Callable[[Path, str], None]


def verdict(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> lint.Judgement:
    """Judge a copy of a folder, so that names in messages are the same everywhere."""
    copy = tmp_path / "case"
    shutil.copytree(folder, copy)
    monkeypatch.chdir(copy)
    case = json.loads((copy / "case.json").read_text()) if (copy / "case.json").is_file() else {}
    files = sorted(path.relative_to(copy) for path in copy.iterdir() if path.name not in OWN)
    return lint.judge_files(files, **case)


@pytest.mark.parametrize("folder", CASES, ids=lambda path: path.name)
def test_a_strangers_file_is_judged_rightly(
    folder: Path, compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = verdict(folder, tmp_path, monkeypatch)
    lines = [f"{file.source.name}: {file.kind}: {file.scope.era}" for file in judged.files]
    lines += [f"{finding.severity}: {finding}" for finding in judged.findings]
    compare(folder / "expected.txt", "".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("age-is-not-said", set()),
        ("agents-of-before-ovn", {"devstack-git-forwarded", "devstack-two-networks"}),
        ("branches-of-before-the-table", {"devstack-branch-gone"}),
        ("boolean-with-an-unseen-character", {"shell-typographic"}),
        ("ceilometer-when-it-was-devstacks", set()),
        ("compute-that-asks-no-database", set()),
        ("contrail-before-opensdn", set()),
        ("contrail-half-of-before-mitaka", set()),
        ("controller-from-the-environment", set()),
        ("controller-host-that-is-the-default", set()),
        ("inventory-of-before-the-table", set()),
        ("lbaas-before-octavia", {"devstack-service-plugin"}),
        ("lbaas-in-its-time", {"devstack-service-plugin"}),
        ("lists-that-replace-each-other", {"shell-set-twice"}),
        ("name-nearly-set-above", {"shell-used-before-set"}),
        ("nova-network-of-its-time", set()),
        ("one-branch-on-many-lines", {"devstack-branch-gone"}),
        ("one-name-that-is-not-set", {"shell-used-before-set"}),
        ("disabled-by-the-wrong-list", {"devstack-disabled-list"}),
        ("functions-below-post-config", {"conf-no-equals"}),
        ("inert-variables", {"devstack-inert"}),
        ("kolla-enabled-backends", {"kolla-unknown-variable"}),
        ("kolla-inventory-of-a-first-point-release", set()),
        ("kolla-loopback-for-neutron", {"kolla-external-interface", "kolla-unknown-variable"}),
        ("kolla-inventory-without-what-is-off", set()),
        ("kolla-curly-quotes", {"kolla-flag"}),
        ("kolla-linuxbridge-of-its-time", set()),
        ("kolla-gone-before-the-table", {"kolla-gone-variable"}),
        ("kolla-release-unknown", set()),
        ("install-by-hand", {"file-kind"}),
        ("localrc-of-defaults-of-its-own", {"file-kind"}),
        ("localrc-of-another-program", {"file-kind"}),
        ("loopback-on-one-node", set()),
        ("mechanism-by-post-config", set()),
        ("n-crt-in-mitaka", {"devstack-inert"}),
        ("packstack-as-liberty-generates-it", set()),
        ("packstack-generated-between-releases", set()),
        ("packstack-inside-a-script", {"file-kind"}),
        ("packstack-names-of-mysql", {"packstack-deprecated-key"}),
        ("packstack-release-between", set()),
        ("packstack-release-option", set()),
        ("packstack-shell-variable", {"file-placeholder"}),
        ("password-with-an-exclamation-mark", {"devstack-password-characters"}),
        ("placeholder-in-angle-brackets", {"file-placeholder"}),
        ("plugin-variable-of-an-old-devstack", {"devstack-inert"}),
        ("plugin-retired", {"devstack-plugin-retired"}),
        ("plugin-services-misspelt", {"devstack-service-name"}),
        ("range-around-two-nodes", {"devstack-range-overlap"}),
        ("sdn-5.0-address-for-host", {"opensdn-unknown-key"}),
        ("sdn-address-for-host", {"opensdn-unknown-key"}),
        ("sdn-instances-of-a-game", {"file-kind"}),
        ("sdn-misspelt-keys", {"opensdn-unknown-key"}),
        ("sdn-node-that-joins-a-cluster", set()),
        ("sdn-passwords-at-the-top", {"opensdn-section"}),
        ("sdn-windows-and-queens", set()),
        ("sdn-registry-login-is-not-filled-in", {"file-placeholder"}),
        ("sdn-without-roles-in-5.0", set()),
        ("service-gone", {"devstack-gone-service"}),
        ("service-list-in-default-order", {"devstack-service-order"}),
        ("service-of-a-plugin", {"devstack-plugin-retired"}),
        ("services-nearly-neutrons", {"devstack-service-name"}),
        ("services-of-retired-plugins", {"devstack-service-plugin"}),
        ("set-twice-to-the-same", set()),
        ("used-before-dest", set()),
        ("local-sh", {"file-kind"}),
        (
            "ovn-plugin-of-its-time",
            {"devstack-git-forwarded", "devstack-ovn-agent", "devstack-plugin-retired"},
        ),
        ("n-crt-in-rocky", {"devstack-gone-service"}),
        ("nova-network-before-neutron", set()),
        ("compute-with-leftovers", set()),
        ("neutron-with-leftovers", {"devstack-git-forwarded"}),
        ("heat-without-its-plugin", {"devstack-service-plugin"}),
        ("carried-along", {"devstack-inert"}),
        ("disabled-above-the-list", set()),
        ("leftovers-without-harm", {"devstack-inert"}),
        ("tempest-by-release", {"devstack-branch-gone"}),
        ("plugin-retired-in-its-time", {"devstack-inert", "devstack-plugin-retired"}),
        ("extra-opts", {"devstack-inert"}),
        ("tunnel-range-of-icehouse", {"devstack-inert"}),
        ("answers-in-latin-1", {"file-encoding"}),
        ("branch-of-a-fork", {"devstack-branch-gone"}),
        ("compute-of-a-plugin-without-database", set()),
        ("compute-without-placement", {"devstack-placement-missing"}),
        ("globals-of-another-program", {"file-kind"}),
        ("headers-that-a-script-emptied", {"conf-file"}),
        ("kolla-address-for-an-interface", {"kolla-interface"}),
        ("kolla-install-type-that-is-the-only-one", set()),
        ("list-that-ends-in-a-comma", {"devstack-service-list"}),
        ("local-conf-in-gb18030", {"conf-crlf", "file-encoding"}),
        ("local-conf-of-a-web-server", {"file-kind"}),
        ("local-conf-of-another-program", {"file-kind"}),
        ("local-conf-without-a-header", {"conf-text-before"}),
        ("packstack-plugin-of-icehouse-by-itself", {"packstack-word"}),
        ("packstack-two-plugins-of-icehouse", {"packstack-unread-key"}),
        ("password-with-an-at", {"devstack-password-characters"}),
        ("password-with-an-at-before-newton", {"devstack-password-characters"}),
        ("placeholder-between-at-signs", {"file-placeholder"}),
        ("placeholder-between-percent-signs", {"file-placeholder"}),
        ("full-of-placeholders", {"file-placeholder"}),
        ("plugin-with-a-tag-of-its-own", {"devstack-branch-gone"}),
        ("placement-of-before-ocata", set()),
        ("quantum-in-grizzly", set()),
        ("sdn-login-that-is-empty", {"opensdn-no-login"}),
        ("services-of-plugins-on-one-line", {"devstack-service-plugin"}),
        ("two-databases-by-hand", {"devstack-database-other"}),
        ("branch-that-nothing-reads", {"devstack-name"}),
        ("branch-without-a-release", {"devstack-branch-gone"}),
        ("conflict-of-a-merge", {"file-conflict"}),
        ("consoles-that-ask-no-database", set()),
        ("gateway-with-a-length", {"devstack-gateway"}),
        ("globals-of-one-mapping", {"file-kind"}),
        ("keys-of-another-program", {"file-kind"}),
        ("kolla-ceph-of-its-time", set()),
        ("kolla-gone-and-off", {"kolla-gone-variable"}),
        ("qpid-without-rabbit", {"devstack-service-token"}),
        ("template-line-in-a-here-document", {"devstack-service-list"}),
        ("template-of-a-local-conf", {"file-placeholder"}),
        ("words-to-be-changed", {"file-placeholder"}),
        ("branch-that-others-take", set()),
        ("client-and-server-branches", {"devstack-inert"}),
        ("driver-of-post-config", set()),
        ("loopback-for-services", set()),
        (
            "ovn-among-old-names",
            {"devstack-gone-service", "devstack-inert", "devstack-service-plugin"},
        ),
        ("packstack-name-of-an-installer", {"file-kind"}),
        ("plugin-of-an-ended-release", {"devstack-service-plugin"}),
        ("services-by-their-own-names", {"devstack-service-name"}),
        ("copied-from-a-pdf", {"devstack-service-list", "shell-typographic"}),
        ("heat-switched-off-in-its-time", set()),
        ("kolla-opendaylight-of-its-time", set()),
        ("localrc-of-a-shop-of-one-name", {"file-kind"}),
        ("packstack-names-of-two-ages", {"packstack-unknown-key"}),
        ("placeholders-between-hashes", {"file-placeholder"}),
        ("switched-off-when-they-were-there", set()),
        ("branch-with-its-remote", {"devstack-branch-gone"}),
        ("compute-of-before-newton-with-an-at", set()),
        ("enabled-again-long-ago", set()),
        ("kolla-part-of-the-variables", set()),
        ("home-that-the-file-sets", set()),
        ("kolla-twice-the-same", {"kolla-duplicate-key"}),
        ("passwords-from-the-environment", set()),
        ("passwords-with-an-exclamation-mark-in-front", set()),
        ("quotes-that-are-quoted", {"conf-quotes"}),
    ],
)
def test_a_case_has_the_findings_that_are_true_and_no_other(
    name: str, rules: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written by hand: the texts beside it may be written anew, this may not."""
    judged = verdict(Path(__file__).parent / "cases" / name, tmp_path, monkeypatch)
    assert {finding.rule for finding in judged.findings} == rules


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("lists-that-replace-each-other", 1),
        ("one-branch-on-many-lines", 2),
        ("one-name-that-is-not-set", 1),
        ("password-with-an-exclamation-mark", 1),
        ("placeholder-in-angle-brackets", 2),
        ("packstack-names-of-mysql", 1),
        ("packstack-shell-variable", 3),
        ("range-around-two-nodes", 1),
        ("sdn-misspelt-keys", 3),
        ("sdn-registry-login-is-not-filled-in", 1),
        ("functions-below-post-config", 1),
        ("inert-variables", 5),
        ("leftovers-without-harm", 1),
        ("local-sh", 2),
        ("n-crt-in-rocky", 2),
        ("tempest-by-release", 2),
        ("branch-of-a-fork", 1),
        ("full-of-placeholders", 1),
        ("conflict-of-a-merge", 1),
        ("kolla-gone-and-off", 1),
        ("template-of-a-local-conf", 1),
        ("client-and-server-branches", 1),
        ("plugin-of-an-ended-release", 2),
        ("services-by-their-own-names", 2),
        ("headers-that-a-script-emptied", 1),
        ("list-that-ends-in-a-comma", 2),
        ("packstack-two-plugins-of-icehouse", 1),
        ("password-with-an-at-before-newton", 1),
        ("services-of-plugins-on-one-line", 2),
        ("kolla-twice-the-same", 1),
        ("quotes-that-are-quoted", 1),
    ],
)
def test_a_mistake_is_told_once(
    name: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = verdict(Path(__file__).parent / "cases" / name, tmp_path, monkeypatch)
    assert len(judged.findings) == count


@pytest.mark.parametrize(
    ("name", "errors"),
    [
        ("loopback-on-one-node", 0),
        ("ovn-plugin-of-its-time", 1),  # the plugin's repository is empty, whatever the release
        ("service-list-in-default-order", 0),
        ("service-gone", 0),
    ],
)
def test_what_does_no_certain_harm_is_no_error(
    name: str, errors: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = verdict(Path(__file__).parent / "cases" / name, tmp_path, monkeypatch)
    assert sum(finding.severity == "error" for finding in judged.findings) == errors


def test_every_case_is_judged_by_hand() -> None:
    (mark,) = test_a_case_has_the_findings_that_are_true_and_no_other.pytestmark  # type: ignore[attr-defined]
    assert {name for name, _rules in mark.args[1]} == {path.name for path in CASES}
