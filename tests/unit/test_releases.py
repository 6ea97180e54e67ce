"""The table of releases: its form, and the facts whose loss would cost somebody an evening."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from stacklab import releases
from stacklab.errors import LabError
from stacklab.model.release import Release, When
from stacklab.model.release_names import plain_name
from stacklab.model.stack import Driver, Installer, NetworkingMode
from stacklab.spec.form.stack import StackSpec
from tests.unit.release_rows import DEVSTACK, INSTALLERS, by_title

NEUTRON = (NetworkingMode.OVS, NetworkingMode.LINUXBRIDGE, NetworkingMode.OVN)
_SYSTEM = r"ubuntu-\d\d\.\d\d|(?:debian|fedora|rocky|centos)-\d+|centos-stream-\d+"
_IMAGE = re.compile(rf"(?:{_SYSTEM})(?:-openstack)?")


def table(tmp_path: Path, text: str) -> Release:
    """The last release of a table that holds DevStack alone."""
    path = tmp_path / "releases.yaml"
    path.write_text(text)
    return list(releases._table(path)[Installer.DEVSTACK].values())[-1]


_ROW = """
devstack:
  first:
    {year: 2020, repository: here, ref: main, images: debian-12, file: local.conf,
     network_modes: ovs, options: localrc, services: {controller off: n-cpu},
     inert: {MULTI_HOST: gone}, traits: {text: one, list: [a=1, b=2]}}
"""


class TestForm:
    def test_a_release_takes_over_what_it_does_not_say(self, tmp_path: Path) -> None:
        row = table(tmp_path, _ROW + "  second: {like: first, ref: other, traits: {text: two}}\n")
        assert (row.ref, row.images, row.text("text"), row.words("list")) == (
            "other",
            ("debian-12",),
            "two",
            ("a=1", "b=2"),
        )

    def test_an_empty_value_takes_away_what_like_brought(self, tmp_path: Path) -> None:
        row = table(
            tmp_path,
            _ROW
            + "  second: {like: first, services: {controller off: ''}, inert: {MULTI_HOST: }}\n",
        )
        assert (dict(row.services), dict(row.inert)) == ({}, {})

    def test_a_row_for_like_alone_is_no_release(self, tmp_path: Path) -> None:
        row = table(tmp_path, _ROW.replace("first:", "_first:") + "  second: {like: _first}\n")
        assert row.name == "second"
        assert list(releases._table(tmp_path / "releases.yaml")[Installer.DEVSTACK]) == ["second"]

    def test_like_a_release_that_is_not_above_is_an_error_with_both_names(
        self, tmp_path: Path
    ) -> None:
        with pytest.raises(LabError, match="devstack second: like third"):
            table(tmp_path, _ROW + "  second: {like: third}\n  third: {like: first}\n")

    def test_a_row_that_lacks_something_is_an_error_with_its_name(self, tmp_path: Path) -> None:
        with pytest.raises(LabError, match=r"devstack first: KeyError.*'ref'"):
            table(tmp_path, _ROW.replace("ref: main, ", ""))

    def test_a_trait_of_names_and_values_is_a_mapping(self, tmp_path: Path) -> None:
        row = table(tmp_path, _ROW)
        assert dict(row.mapping("list")) == {"a": "1", "b": "2"}
        assert dict(row.mapping("none")) == {}
        with pytest.raises(LabError, match=r"localrc/releases\.yaml: .*list is not a single value"):
            row.text("list")

    @pytest.mark.parametrize("wrong", ["when: later", "driver: dockr"])
    def test_a_bug_of_a_word_that_is_none_is_an_error_with_its_release(
        self, tmp_path: Path, wrong: str
    ) -> None:
        bug = f"{{id: x, symptom: y, fix: z, {wrong}}}"
        with pytest.raises(LabError, match=f"devstack second: ValueError.*{wrong.split()[-1]}"):
            table(tmp_path, _ROW + f"  second: {{like: first, bugs: [{bug}]}}\n")

    def test_a_bug_is_anybodys_unless_it_says_whose(self, tmp_path: Path) -> None:
        bug, other = table(
            tmp_path,
            _ROW + "  second: {like: first, bugs: [{id: a, symptom: b, fix: c}, "
            "{id: d, symptom: e, fix: f, driver: zun, commands: [g], when: after, done: h}]}\n",
        ).bugs
        assert (bug.when, bug.is_worked_around, bug.concerns(Driver.FAKE)) == (
            When.BEFORE,
            False,
            True,
        )
        assert (other.when, other.is_worked_around, other.done) == (When.AFTER, True, "h")
        assert (other.concerns(Driver.ZUN), other.concerns(Driver.LIBVIRT)) == (True, False)

    @pytest.mark.parametrize(
        "ref", ["mitaka", "stable/mitaka", "mitaka-eol", "unmaintained/mitaka", "mitaka-eom"]
    )
    def test_a_branch_or_tag_tells_its_release(self, ref: str) -> None:
        assert plain_name(ref) == "mitaka"

    def test_the_whole_table_is_read_in_the_time_of_a_blink(self) -> None:
        took = []
        for _ in range(3):
            start = time.process_time()
            releases._table.__wrapped__()
            took.append(time.process_time() - start)
        assert min(took) < 0.06


class TestEveryRow:
    @pytest.mark.parametrize("row", by_title())
    def test_uses_the_words_of_a_lab(self, row: Release) -> None:
        words = set(StackSpec.model_fields) | {"glance.direct_copy", "glance.url_schemes"}
        assert row.options <= words - {"glance", "installer", "release", "network"}
        assert set(row.network_modes) <= set(NetworkingMode)
        assert row.network_modes
        assert set(row.drivers) <= set(Driver)
        assert row.drivers[0] == Driver.LIBVIRT
        assert not [image for image in row.images if not _IMAGE.fullmatch(image)]
        assert row.images

    @pytest.mark.parametrize("row", by_title())
    def test_has_a_grave_if_and_only_if_upstream_ended_it(self, row: Release) -> None:
        assert bool(row.grave) is not row.is_alive
        assert row.dead is None or row.year <= row.dead <= 2026

    @pytest.mark.parametrize("row", by_title())
    def test_says_what_to_do_about_each_bug(self, row: Release) -> None:
        assert len({bug.id for bug in row.bugs}) == len(row.bugs)
        for bug in row.bugs:
            assert bug.symptom
            assert bug.fix
            assert bug.role in ("all", "controller", "compute")
            assert not [image for image in bug.images if not _IMAGE.fullmatch(image)]
            # Commands are run as they stand, by root, on every `stack.up` anew.
            assert not [command for command in bug.commands if "sudo" in command or "\n" in command]
            assert "\n" not in bug.done
            assert not bug.done or len(bug.commands) == 1

    @pytest.mark.parametrize("row", by_title())
    def test_a_bugs_commands_have_a_moment_that_the_installers_steps_have(
        self, row: Release
    ) -> None:
        moments = {
            Installer.CONTRAIL: set(When),
            Installer.DEVSTACK: set(When),
            Installer.PACKSTACK: {When.BEFORE, When.AFTER},  # packages: nothing is cloned
        }.get(row.installer, {When.BEFORE})
        assert {bug.when for bug in row.bugs if bug.commands} <= moments
        assert {bug.when for bug in row.bugs if not bug.commands} <= {When.BEFORE}
        assert {bug.driver for bug in row.bugs} <= {None, *row.drivers}

    @pytest.mark.parametrize("row", by_title())
    def test_an_option_that_is_a_range_has_the_installers_own_as_default(
        self, row: Release
    ) -> None:
        for option in {"fixed_range", "floating_range"} & row.options:
            # A tenant's network in the vrouter's tables is in nobody's way.
            assert bool(row.text(option)) is (row.installer is not Installer.CONTRAIL)

    @pytest.mark.parametrize("row", by_title())
    def test_no_lab_needs_a_release_to_give_secrets_or_a_proxy(self, row: Release) -> None:
        assert {"secrets", "proxy", "mirrors"} <= row.options

    def test_the_first_of_each_installer_is_the_default(self) -> None:
        assert [next(iter(releases.of(word))) for word in INSTALLERS] == [
            "master",
            "R26.1",
            "2026.1",
            "2025.1",
            "2025.2",
            "zed",
        ]


class TestContrail:
    def test_every_pair_is_a_release_of_devstack(self) -> None:
        pairs = {name: row.pairs for name, row in releases.of(Installer.CONTRAIL).items()}
        assert pairs == {
            "master": ("mitaka",),
            "R3.0": ("mitaka",),
            "R2.20": ("kilo",),
            "R1.06": ("havana",),
        }
        assert {pair for each in pairs.values() for pair in each} <= set(DEVSTACK)

    def test_packages_or_sources_is_a_word_that_scripts_compare_literally(self) -> None:
        found = {
            name: row.text("default_install")
            for name, row in releases.of(Installer.CONTRAIL).items()
        }
        assert found == {"master": "False", "R3.0": "False", "R2.20": "True", "R1.06": "True"}

    def test_only_r1_06_reads_its_services_from_localrc(self) -> None:
        for name, row in releases.of(Installer.CONTRAIL).items():
            assert ("controller" in row.services) is (name == "R1.06")
            assert ("ENABLED_SERVICES" in row.inert) is (name != "R1.06")
            assert bool(row.text("registers_computes")) is (name != "R1.06")
            assert row.text("without_agent")

    def test_packages_are_ubuntus_alone(self) -> None:
        assert "centos-7" in releases.find(Installer.CONTRAIL, "master").images
        assert not [
            image
            for image in releases.find(Installer.CONTRAIL, "R2.20").images
            if "ubuntu" not in image
        ]

    def test_the_projects_of_a_pair_are_projects_of_its_devstack(self) -> None:
        for row in releases.of(Installer.CONTRAIL).values():
            assert set(row.words("projects")) <= set(DEVSTACK[row.pairs[0]].words("projects"))

    def test_its_options_are_its_devstacks_but_for_volumes_and_the_ways_out(self) -> None:
        # Cinder is disabled, and without q-l3 stack.sh reads nothing of the external network.
        without = {"driver", "api_network", "external_network", "floating_range", "volume_types"}
        for row in releases.of(Installer.CONTRAIL).values():
            for pair in row.pairs:
                assert row.options == DEVSTACK[pair].options - without | {
                    "devstack_branch",
                    "answers",
                }


class TestTheOthers:
    def test_packstack_lost_nova_network_after_newton(self) -> None:
        for name, row in releases.of(Installer.PACKSTACK).items():
            has = NetworkingMode.FLAT_DHCP in row.network_modes
            assert has is (name != "2025.1")
            assert bool(row.text("nova_network")) is has
            assert row.text("package").endswith(row.text("rdo"))

    def test_packstacks_docker_is_with_nova_network_alone(self) -> None:
        for row in releases.of(Installer.PACKSTACK).values():
            if Driver.DOCKER in row.drivers:
                assert not set(row.words("docker_network_modes")) & set(NEUTRON)
                assert set(row.words("docker_network_modes")) <= set(row.network_modes)

    @pytest.mark.parametrize("name", ["icehouse", "havana"])
    def test_fedora_19s_four_bugs_have_their_ways_around(self, name: str) -> None:
        bugs = {
            bug.id: bug
            for bug in releases.find(Installer.PACKSTACK, name).bugs
            if "fedora-19" in bug.images
        }
        assert set(bugs) == {"rdo-puppet-ruby", "rdo-kvm-modules", "rdo-django14", "rdo-qpidd"}
        assert all(bug.commands for bug in bugs.values())
        # The configuration of qpidd is there after packstack alone.
        assert {bug.id for bug in bugs.values() if bug.when is When.AFTER} == {"rdo-qpidd"}

    def test_kolla_has_zun_until_2025_2(self) -> None:
        for name, row in releases.of(Installer.KOLLA).items():
            has = name in ("2025.1", "2025.2")
            assert (Driver.ZUN in row.drivers) is has
            assert ("zun" in row.words("dev_mode")) is has
            assert row.text("source_version") == row.ref

    def test_kolla_has_centos_containers_but_on_master(self) -> None:
        for name, row in releases.of(Installer.KOLLA).items():
            assert ("centos" in row.mapping("base_distros")) is (name != "master")
            assert set(row.mapping("base_distros")) <= {"rocky", "ubuntu", "debian", "centos"}

    def test_opensdns_default_openstack_can_be_had_in_its_default_mode(self) -> None:
        for row in releases.of(Installer.OPENSDN).values():
            mode = row.text("kolla_mode")
            can = row.mapping("vanilla") if mode == "vanilla" else row.words("patched")
            assert row.text("openstack") in can

    def test_opensdn_checks_out_nothing_that_became_a_tag(self) -> None:
        for row in releases.of(Installer.OPENSDN).values():
            assert not [
                ref
                for ref in row.mapping("vanilla").values()
                if ref.startswith(("stable/", "unmaintained/"))
            ]
