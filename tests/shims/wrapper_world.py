"""A made-up machine for ./invoke: its PATH has a recording apt-get, dnf, sudo and python3."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

# What the wrapper itself calls, from the real machine.
PLAIN = (
    "cat",
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
    "openssl",
    "zstd",
    "setfacl",
    "blkid",
    "nsenter",
    "unshare",
    "ethtool",
    "gcc",
    "pkg-config",
)
# What only tests start: program -> Debian's package.
FOR_TESTS = {
    "bash": "bash",
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "curl": "curl",
    "dash": "dash",
    "dot": "graphviz",
    "fish": "fish",
    "git": "git",
    "ping": "iputils-ping",
    "shellcheck": "shellcheck",
    "sysctl": "procps",
    "systemd-analyze": "systemd",
    "systemd-nspawn": "systemd-container",
    "tc": "iproute2",
    "zsh": "zsh",
}

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
case "$*" in
*" install "*)
    cp "$WORLD"/to-install/* "$WORLD/bin/" 2>/dev/null
    rm -f "$WORLD/no-venv-module"
    ;;
esac
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

    def can_get_what_tests_need(self) -> None:
        """Not there now; apt-get (or dnf) brings it."""
        for tool in FOR_TESTS:
            self.put(tool, folder="to-install")

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
