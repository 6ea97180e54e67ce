from __future__ import annotations

from pathlib import Path

import pytest

from stacklab import releases, spec
from stacklab.errors import RenderError
from stacklab.installers import rendering as answers
from stacklab.installers.packstack.answers import release_keys
from stacklab.model.release import Release
from stacklab.model.stack import Driver, Installer
from stacklab.paths.project import PROJECT
from tests.unit.installers.packstack.packstack_labs import (
    ANSWERS,
    answer_keys,
    keys,
    load,
    render,
    secrets,
)

RELEASES = releases.of(Installer.PACKSTACK)


class TestKeys:
    def test_no_password_is_left_to_packstack(self, tmp_path: Path) -> None:
        lab = load(tmp_path)
        found, own = answer_keys(lab), set(secrets(lab).values())
        passwords = {
            key: value
            for key, value in found.items()
            if key.endswith(("_PW", "_PASSWORD", "_SECRET_KEY"))
        }
        services = (
            "KEYSTONE_DB",
            "GLANCE_DB",
            "CINDER_DB",
            "NOVA_DB",
            "NEUTRON_DB",
            "NEUTRON_METADATA",
            "MARIADB",
        )
        users = (
            "KEYSTONE_ADMIN",
            "KEYSTONE_DEMO",
            "GLANCE_KS",
            "CINDER_KS",
            "NOVA_KS",
            "NEUTRON_KS",
        )
        others = {
            "CONFIG_AMQP_AUTH_PASSWORD",
            "CONFIG_DEFAULT_PASSWORD",
            "CONFIG_HORIZON_SECRET_KEY",
        }
        assert passwords.keys() == {f"CONFIG_{name}_PW" for name in (*services, *users)} | others
        assert set(passwords.values()) <= own
        assert "PW_PLACEHOLDER" not in found.values()

    def test_a_token_is_asked_for_while_keystone_has_one(self, tmp_path: Path) -> None:
        assert "service_token" in answers.secret_names(load(tmp_path, release="icehouse"))
        assert "service_token" not in answers.secret_names(load(tmp_path))

    def test_ratios_of_overcommit_are_keys(self, tmp_path: Path) -> None:
        found = answer_keys(load(tmp_path, "overcommit: {cpu: 4, ram: 1.25}"))
        assert found["CONFIG_NOVA_SCHED_CPU_ALLOC_RATIO"] == "4.0"
        assert found["CONFIG_NOVA_SCHED_RAM_ALLOC_RATIO"] == "1.25"
        assert not [key for key in answer_keys(load(tmp_path)) if "ALLOC_RATIO" in key]

    def test_an_answer_of_the_specs_takes_the_place_of_ours(self, tmp_path: Path) -> None:
        found = render(load(tmp_path, "answers: {CONFIG_DEBUG_MODE: n, CONFIG_HEAT_DOMAIN: lab}"))[
            ANSWERS
        ]
        assert keys(found)["CONFIG_DEBUG_MODE"] == "n"
        assert found.endswith("CONFIG_HEAT_DOMAIN=lab\n")

    def test_an_answer_may_be_written_in_small_letters(self, tmp_path: Path) -> None:
        assert (
            answer_keys(load(tmp_path, "answers: {config_debug_mode: n}"))["CONFIG_DEBUG_MODE"]
            == "n"
        )

    def test_an_answer_that_the_release_ignores_is_refused_with_the_nearest(
        self, tmp_path: Path
    ) -> None:
        lab = load(tmp_path, "answers: {CONFIG_DEBUG_MODUS: n}")
        with pytest.raises(RenderError, match="does not read CONFIG_DEBUG_MODUS") as caught:
            answers.preview(lab)
        assert "CONFIG_DEBUG_MODE" in (caught.value.hint or "")

    def test_an_old_name_is_refused_since_the_new_one_wins_in_silence(self, tmp_path: Path) -> None:
        lab = load(tmp_path, "answers: {CONFIG_NOVA_COMPUTE_HOSTS: 10.150.0.99}")
        with pytest.raises(RenderError, match="CONFIG_NOVA_COMPUTE_HOSTS"):
            answers.preview(lab)

    def test_a_percent_sign_is_doubled_for_a_parser_that_looks_behind_it(
        self, tmp_path: Path
    ) -> None:
        stack = 'answers: {CONFIG_REPO: "http://repo.example/a%20b"}'
        assert answer_keys(load(tmp_path, stack))["CONFIG_REPO"].endswith("a%20b")
        assert answer_keys(load(tmp_path, stack, release="mitaka"))["CONFIG_REPO"].endswith(
            "a%%20b"
        )

    def test_what_an_old_parser_takes_for_a_comment_is_refused(self, tmp_path: Path) -> None:
        lab = load(tmp_path, 'answers: {CONFIG_REPO: "http://a.example ;b"}', release="mitaka")
        with pytest.raises(RenderError, match="up to the ; alone"):
            answers.preview(lab)

    def test_a_mirror_of_debians_packages_is_refused(self, tmp_path: Path) -> None:
        lab = load(tmp_path, "mirrors: {apt: 'http://mirror.example/debian'}")
        with pytest.raises(RenderError, match=r"stack\.mirrors\.apt"):
            answers.preview(lab)

    def test_a_key_of_no_release_can_not_stand_in_the_template(self) -> None:
        row = RELEASES["2025.1"]
        with pytest.raises(RenderError, match="CONFIG_NOVA_INSTAL "):
            release_keys.fit_to_release(
                "CONFIG_NOVA_INSTAL=y\n", release_keys.keys_of_release(row), {}
            )

    def test_a_key_that_is_left_out_takes_its_comment_along(self) -> None:
        kept = "# -- new\n# stays\nCONFIG_DEBUG_MODE=y\n"
        text = f"[general]\n\n# -- old\n# for it alone\nCONFIG_NAGIOS_INSTALL=n\n\n{kept}"
        fitted = release_keys.fit_to_release(
            text, release_keys.keys_of_release(RELEASES["2025.1"]), {}
        )
        assert fitted == "[general]\n\n# -- new\n# stays\nCONFIG_DEBUG_MODE=y\n"

    @pytest.mark.parametrize("row", RELEASES.values(), ids=RELEASES)
    def test_a_renamed_key_is_a_key_elsewhere(self, row: Release) -> None:
        assert row.mapping("renamed").keys() <= release_keys.keys_of_release(row).ever
        assert set(row.words("lacks")) <= release_keys.keys_of_release(row).ever


class TestLabs:
    @pytest.mark.parametrize("name", ["rdo-3node", "rdo-docker"])
    def test_it_is_rendered_and_uses_addresses_of_its_own(self, name: str) -> None:
        lab = spec.load(PROJECT / "labs" / f"{name}.yaml")
        assert ANSWERS in answers.preview(lab)[lab.controller.name]
        assert lab.memory.gib <= 16

    def test_rdo_3node_has_all_four_networks_apart(self) -> None:
        stack = spec.load(PROJECT / "labs" / "rdo-3node.yaml").stack
        assert len({stack.network, stack.data_network, stack.external_network}) == 3

    def test_rdo_docker_is_mission_row_5(self) -> None:
        lab = spec.load(PROJECT / "labs" / "rdo-docker.yaml")
        found = keys(answers.preview(lab)["rdo"][ANSWERS])
        hosts = {value for key, value in found.items() if key.endswith(("_HOST", "_HOSTS"))}
        assert hosts == {"10.158.0.10"}
        assert found["CONFIG_NEUTRON_INSTALL"] == "n"
        assert lab.stack.driver is Driver.DOCKER
