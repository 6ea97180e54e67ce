"""./invoke on machines that do not exist: a PATH of its own, with a recording apt-get, dnf, sudo and python3."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

# What the wrapper itself calls, from the real machine.
PLAIN = (
    "cat",
    "dirname",
    "env",
    "flock",
    "grep",
    "mkdir",
    "rm",
    "sed",
    "sha256sum",
    "sh",
    "sleep",
    "sort",
    "tail",
    "touch",
    "tr",
)
TOOLS = (
    "qemu-system-x86_64",
    "qemu-img",
    "libvirtd",
    "virsh",
    "vagrant",
    "packer",
    "mmdebstrap",
    "extlinux",
    "sfdisk",
    "mkfs.ext4",
    "ssh",
    "fping",
    "dnsmasq",
    "ip",
    "iptables",
    "ebtables",
    "genisoimage",
    "setpriv",
    "gcc",
    "pkg-config",
)

# Answers the wrapper's questions, and makes a venv whose pip and invoke record their arguments.
PYTHON = r"""#!/bin/sh
case "$1 $2" in
"-V "*) echo "Python ${FAKE_PYTHON-3.11.2}" ;;
"-c import sys; sys.exit"*) [ "${FAKE_PYTHON-3.11.2}" = 3.11.2 ] ;;
"-c import ensurepip"*) [ ! -e "$WORLD/no-venv-module" ] ;;
"-c "*) exit 0 ;;
"-m venv")
    echo "venv $3" >>"$WORLD/calls"
    mkdir -p "$3/bin"
    cp "$WORLD/venv-python" "$3/bin/python"
    if [ -e "$WORLD/venv-hangs" ]; then touch "$WORLD/venv-started"; sleep 30; fi
    ;;
esac
"""
VENV_PYTHON = r"""#!/bin/sh
echo "pip $*" >>"$WORLD/calls"
[ ! -e "$WORLD/pip-fails" ] || { seq 30; echo "hashes do not match"; exit 1; }
[ ! -e "$WORLD/pip-slow" ] || sleep 1
cat >"${0%/*}/invoke" <<'END'
#!/bin/sh
echo "invoke in $PWD: $*"
END
chmod +x "${0%/*}/invoke"
"""
APT_GET = r"""#!/bin/sh
echo "apt-get $*" >>"$WORLD/calls"
echo "E: Unable to fetch some archives"
[ ! -e "$WORLD/apt-fails" ] || exit 100
case "$*" in *" install "*) cp "$WORLD"/to-install/* "$WORLD/bin/" 2>/dev/null; rm -f "$WORLD/no-venv-module" ;; esac
exit 0
"""
APT_CACHE = '#!/bin/sh\n! grep -qx "$2" "$WORLD/not-packaged" 2>/dev/null\n'
DNF = r"""#!/bin/sh
[ "$2" = repoquery ] && { echo "$3"; exit 0; }
echo "dnf $*" >>"$WORLD/calls"
cp "$WORLD"/to-install/* "$WORLD/bin/" 2>/dev/null
exit 0
"""
SUDO = '#!/bin/sh\necho "sudo $*" >>"$WORLD/calls"\nexec "$@"\n'
NOTHING = "#!/bin/sh\nexit 0\n"


@dataclass
class World:
    """A made-up machine with a checkout on it."""

    root: Path

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def checkout(self) -> Path:
        return self.root / "checkout"

    def put(self, name: str, text: str = NOTHING, folder: str = "bin") -> None:
        path = self.root / folder / name
        assert not path.is_symlink(), (
            f"{path} would be written through to the real machine's {path.resolve()}"
        )
        path.write_text(text)
        path.chmod(0o755)

    def lacks(self, *tools: str) -> None:
        """Not there now; apt-get (or dnf) brings them."""
        for tool in tools:
            (self.bin / tool).rename(self.root / "to-install" / tool)

    def is_used_by(self, uid: int) -> None:
        self.put("id", f"#!/bin/sh\necho {uid}\n")

    def note(self, name: str, text: str = "") -> None:
        (self.root / name).write_text(text)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": str(self.bin),
            "WORLD": str(self.root),
            "HOME": str(self.root),
            "LC_ALL": "C",
        }

    def invoke(
        self, *args: str, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.checkout / "invoke"), *args],
            cwd=cwd or self.root,
            env={**self.environment, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        log = self.root / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def calls_of(self, name: str) -> list[str]:
        return [call for call in self.calls if call.startswith(name)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A Debian machine, used by root, that has all the packages and no .venv yet."""
    made = World(tmp_path)
    for folder in (
        "bin",
        "to-install",
        "checkout/requirements",
        ".vagrant.d/gems/3/gems/vagrant-libvirt-0",
    ):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("cp", "chmod", "seq", *PLAIN):
        real = shutil.which(name)
        assert real, name
        (made.bin / name).symlink_to(real)
    for name in TOOLS:
        made.put(name)
    made.put("python3", PYTHON)
    made.put("venv-python", VENV_PYTHON, folder=".")
    made.put("apt-get", APT_GET)
    made.put("apt-cache", APT_CACHE)
    made.put("sudo", SUDO)
    made.is_used_by(0)
    # The real wrapper, but for the directories that would bring this machine's own tools and headers in.
    text = (PROJECT / "invoke").read_text()
    for real, fake in (
        (":/usr/local/sbin:/usr/sbin:/sbin", ""),
        ("/usr/*/syslinux ", f"{tmp_path}/bin "),
        ("/usr/include/libvirt/libvirt.h", f"{tmp_path}/bin"),
        ("/usr/share/", f"{tmp_path}/share/"),
    ):
        assert real in text, real
        text = text.replace(real, fake)
    made.put("invoke", text, folder="checkout")
    for name in ("build.txt", "all.txt"):
        (made.checkout / "requirements" / name).write_text("rich==15.0.0\n")
    return made


def test_the_arguments_reach_the_venvs_invoke_untouched(world: World) -> None:
    done = world.invoke("lab.exec", "a lab", "--", "ls *")
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout
        == f"invoke in {world.root}: --search-root {world.checkout} lab.exec a lab -- ls *\n"
    )


def test_it_stays_in_the_directory_that_it_was_called_in(world: World, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    assert (
        f"invoke in {elsewhere}: --search-root {world.checkout}"
        in world.invoke("x", cwd=elsewhere).stdout
    )


def test_requirements_are_installed_with_hashes_and_build_tools_first(world: World) -> None:
    world.invoke()
    build, everything, itself = world.calls_of("pip")
    assert "--require-hashes -r" in build
    assert build.endswith("build.txt")
    assert "--require-hashes --no-build-isolation -r" in everything
    assert everything.endswith("all.txt")
    assert itself.endswith(f"--no-deps --no-build-isolation --editable {world.checkout}"), (
        "for its pytest plug-in"
    )


def test_the_second_start_does_nothing_but_start(world: World) -> None:
    world.invoke()
    calls = world.calls
    started = time.monotonic()
    again = world.invoke("x")
    print(f"second start: {(time.monotonic() - started) * 1000:.0f} ms")
    assert (again.returncode, again.stderr, world.calls) == (0, "", calls)


def test_changed_requirements_make_the_venv_anew(world: World) -> None:
    world.invoke()
    (world.checkout / "requirements/all.txt").write_text("rich==15.0.1\n")
    world.invoke()
    assert len(world.calls_of("venv")) == 2


@pytest.mark.parametrize("harm", ["bin/invoke", "bin/python"])
def test_a_broken_venv_is_noticed_and_made_anew(world: World, harm: str) -> None:
    world.invoke()
    (world.checkout / ".venv" / harm).unlink()
    assert world.invoke().returncode == 0
    assert len(world.calls_of("venv")) == 2


def test_a_moved_checkout_makes_its_venv_anew(world: World) -> None:
    world.invoke()
    moved = world.root / "moved"
    world.checkout.rename(moved)
    done = subprocess.run(
        [str(moved / "invoke")], env=world.environment, capture_output=True, text=True, check=False
    )
    assert f"--search-root {moved}" in done.stdout
    assert len(world.calls_of("venv")) == 2


def test_a_killed_set_up_is_done_again(world: World) -> None:
    world.note("venv-hangs")
    cut = subprocess.Popen(
        [str(world.checkout / "invoke")],
        env=world.environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 10
    while not (world.root / "venv-started").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(cut.pid, signal.SIGKILL)
    cut.wait()
    (world.root / "venv-hangs").unlink()
    assert world.invoke("x").returncode == 0
    assert len(world.calls_of("venv")) == 2


def test_two_at_once_set_up_once(world: World) -> None:
    world.note("pip-slow")
    both = [
        subprocess.Popen(
            [str(world.checkout / "invoke"), "x"],
            env=world.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("waiting for it" in err for _, err in told) == 1
    assert len(world.calls_of("venv")) == 1


def test_a_failing_pip_shows_the_logs_end_and_the_next_step(world: World) -> None:
    world.note("pip-fails")
    done = world.invoke("x")
    assert done.returncode == 3
    assert "  | hashes do not match" in done.stderr
    assert done.stderr.count("  | ") == 15
    assert f"log: {world.checkout}/reports/setup.log" in done.stderr
    assert "next: look at the log" in done.stderr
    (world.root / "pip-fails").unlink()
    assert world.invoke("x").returncode == 0


def test_missing_packages_are_named_and_then_installed(world: World) -> None:
    world.lacks("packer", "fping")
    world.note("no-venv-module")
    done = world.invoke("x")
    assert done.returncode == 0, done.stderr
    assert "about to install with apt-get: fping packer python3-venv\n" in done.stderr
    assert f"installing 3 packages (log: {world.checkout}/reports/setup.log)" in done.stderr
    update, install = world.calls_of("apt-get")
    assert update.endswith(" update")
    assert install.endswith(" install --no-install-recommends fping packer python3-venv")
    assert not world.calls_of("sudo")


def test_who_is_not_root_installs_by_sudo(world: World) -> None:
    world.lacks("packer")
    world.is_used_by(1000)
    done = world.invoke("x")
    assert done.returncode == 0, done.stderr
    assert "by sudo, which may ask for your password" in done.stderr
    assert [call.split()[:2] for call in world.calls_of("sudo")] == [
        ["sudo", "apt-get"],
        ["sudo", "env"],
    ]


def test_neither_root_nor_sudo_is_told_what_root_must_type(world: World) -> None:
    world.lacks("packer", "sudo")
    world.is_used_by(1000)
    done = world.invoke("x")
    assert done.returncode == 3
    assert "neither root nor is there sudo: packer" in done.stderr
    assert "next: as root: apt-get install packer" in done.stderr
    assert not world.calls


def test_a_checkout_that_cannot_be_written_to_is_told_in_a_sentence(world: World) -> None:
    (world.checkout / "reports").write_text("in the way")
    done = world.invoke("x")
    assert (done.returncode, world.calls) == (3, [])
    assert f"cannot write {world.checkout}/reports/setup.log" in done.stderr


def test_no_install_reports_what_is_missing_and_touches_nothing(world: World) -> None:
    world.lacks("packer", "gcc")
    done = world.invoke("x", STACKLAB_NO_INSTALL="1")
    assert done.returncode == 3
    assert "missing system packages: gcc packer\n" in done.stderr
    assert "next: apt-get install gcc packer\n" in done.stderr
    assert not world.calls
    assert not (world.checkout / "reports").exists()


def test_no_install_makes_no_venv_either(world: World) -> None:
    done = world.invoke("x", STACKLAB_NO_INSTALL="1")
    assert (done.returncode, world.calls) == (3, [])
    assert ".venv was not made" in done.stderr


def test_no_install_runs_as_usual_when_nothing_is_missing(world: World) -> None:
    world.invoke()
    assert world.invoke("x", STACKLAB_NO_INSTALL="1").returncode == 0


def test_a_compiler_is_asked_for_only_while_the_venv_is_made(world: World) -> None:
    world.invoke()
    world.lacks("gcc")
    assert world.invoke("x").returncode == 0
    assert not world.calls_of("apt-get")


def test_a_failing_apt_get_shows_the_logs_end_and_stops(world: World) -> None:
    world.lacks("packer")
    world.note("apt-fails")
    done = world.invoke("x")
    assert done.returncode == 3
    assert "reading package lists: failed with 100" in done.stderr
    assert "  | E: Unable to fetch some archives" in done.stderr
    assert not world.calls_of("venv")


def test_what_apt_does_not_have_is_named_after_the_rest_is_installed(world: World) -> None:
    world.lacks("fping")
    (world.bin / "packer").unlink()
    world.note("not-packaged", "packer\n")
    done = world.invoke("x")
    assert done.returncode == 3
    assert world.calls_of("apt-get")[-1].endswith("--no-install-recommends fping")
    assert "not to be had from apt-get here: packer\n" in done.stderr
    assert "install that by hand" in done.stderr


def test_fedora_gets_its_own_package_names_and_a_line_for_the_rest(world: World) -> None:
    world.lacks("virsh", "ssh")
    for name in ("apt-get", "packer"):
        (world.bin / name).unlink()
    world.put("dnf", DNF)
    done = world.invoke("x")
    assert done.returncode == 3
    assert world.calls == [
        "dnf -y --setopt=install_weak_deps=False install libvirt-client openssh-clients"
    ]
    assert "not to be had from dnf here: packer\n" in done.stderr


def test_another_distribution_is_told_what_to_install(world: World) -> None:
    for name in ("apt-get", "packer"):
        (world.bin / name).unlink()
    done = world.invoke("x")
    assert done.returncode == 3
    assert "missing: packer; neither apt-get nor dnf is here" in done.stderr


def test_an_old_python_is_told_before_anything_is_installed(world: World) -> None:
    world.lacks("packer")
    done = world.invoke("x", FAKE_PYTHON="3.9.2")
    assert done.returncode == 3
    assert "Python 3.11 or newer is needed; Python 3.9.2 is all there is" in done.stderr
    assert not world.calls


def test_a_newer_python_beside_an_old_one_is_used(world: World) -> None:
    world.put("python3.12", PYTHON)
    world.put("python3", '#!/bin/sh\necho "Python 3.9.2"\nexit 1\n')
    assert world.invoke("x").returncode == 0


FOR_TESTS = ("chromium", "chromedriver", "shellcheck")


@pytest.mark.parametrize(
    ("task", "ci", "is_wanted"),
    [("test", "true", True), ("test", "", False), ("lab.up", "true", False), ("", "true", False)],
)
def test_what_tests_need_is_installed_for_those_of_ci_alone(
    world: World, task: str, ci: str, is_wanted: bool
) -> None:
    for tool in FOR_TESTS:
        world.put(tool, folder="to-install")
    done = world.invoke(*filter(None, [task]), CI=ci)
    assert done.returncode == 0, done.stderr
    assert bool(world.calls_of("apt-get")) is is_wanted
    if is_wanted:
        assert world.calls_of("apt-get")[-1].endswith(
            "--no-install-recommends chromium chromium-driver shellcheck"
        )


@pytest.mark.parametrize("browser", ["chromium", "chromium-browser", "google-chrome"])
def test_any_chromium_will_do(world: World, browser: str) -> None:
    world.put(browser)
    world.put("chromedriver")
    world.put("shellcheck")
    assert world.invoke("test", CI="true").returncode == 0
    assert not world.calls_of("apt-get")
