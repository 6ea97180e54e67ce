"""A lab's own checks as the node's sh, bash and Python run them, against real ports and pages."""

from __future__ import annotations

import dataclasses
import http.server
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacklab.checks import custom
from stacklab.checks.family import Facts
from stacklab.checks.result import CheckResult, CheckStatus, Reason
from stacklab.model.checks import CustomCheck, CustomKind
from stacklab.model.lab import Lab
from stacklab.nodes import protocol
from tests.unit.checks.fake_lab import make_lab

MARK = "stacklab-contract"
FOR_EVER_S = 500
BASH_STARTS_S = 3.0  # and writes its first line, on the busiest of machines
SHELLS = [shell for shell in (["dash"], ["bash", "--posix"]) if shutil.which(shell[0])]
PASSED, WARNED, FAILED, ERROR = (
    CheckStatus.PASSED,
    CheckStatus.WARNED,
    CheckStatus.FAILED,
    CheckStatus.ERROR,
)

pytestmark = [
    pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed"),
    pytest.mark.filterwarnings("error"),
]


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def shell(request: pytest.FixtureRequest) -> list[str]:
    found: list[str] = request.param
    return found


def lab_with(*checks: CustomCheck) -> Lab:
    lab = make_lab(nodes=("one",))
    return dataclasses.replace(lab, checks=dataclasses.replace(lab.checks, custom=checks))


def command(line: str, **keys: object) -> CustomCheck:
    made = CustomCheck(
        name="own", kind=CustomKind.COMMAND, nodes=("one",), command=line, interval_s=0.0
    )
    return dataclasses.replace(made, **keys)  # type: ignore[arg-type]


def run(shell: list[str], *checks: CustomCheck, cwd: Path | None = None) -> list[CheckResult]:
    """Try these as a node would: its whole script on stdin.

    What waits for something that takes FOR_EVER_S is killed here, and fails its test.
    """
    lab = lab_with(*checks)
    asked = list(custom.expected(lab))
    script = protocol.render(list(custom.parts(lab, lab.nodes[0], asked, Facts())), MARK)
    done = subprocess.run(
        [*shell, "-s"],
        input=script.encode(),
        capture_output=True,
        timeout=FOR_EVER_S / 5,
        check=False,
        cwd=cwd,
    )
    assert done.stderr == b""
    answer = protocol.read(done.stdout.decode("utf-8", "replace"), MARK)
    assert answer.is_complete
    return list(custom.judge(lab, asked, answer, Facts()))


def one(
    shell: list[str], check: CustomCheck, cwd: Path | None = None
) -> tuple[CheckStatus, Reason]:
    """Its outcome; a test of its words is in tests/unit/checks/test_custom.py."""
    (result,) = run(shell, check, cwd=cwd)
    return result.status, result.reason


def detail(shell: list[str], check: CustomCheck, cwd: Path | None = None) -> str:
    (result,) = run(shell, check, cwd=cwd)
    return result.detail


# --- commands


def test_a_command_is_held_to_its_exit_code(shell: list[str]) -> None:
    assert one(shell, command("true")) == (PASSED, Reason.OK)
    assert one(shell, command("exit 3", exit_code=3)) == (PASSED, Reason.OK)
    assert one(shell, command("exit 3")) == (FAILED, Reason.WRONG_CODE)
    assert one(shell, command("true", exit_code=1)) == (FAILED, Reason.WRONG_CODE)
    (result,) = run(shell, command("no-such-program-here"))
    assert (result.status, result.reason) == (FAILED, Reason.WRONG_CODE)
    assert "127" in result.detail
    assert result.detail.endswith("no-such-program-here: command not found")


def test_a_command_is_held_to_what_it_writes(shell: list[str]) -> None:
    assert one(shell, command("echo in active state", text="active")) == (PASSED, Reason.OK)
    assert one(shell, command("echo on stderr >&2", text="on stderr")) == (PASSED, Reason.OK)
    assert one(shell, command("echo inactive", text="Active")) == (FAILED, Reason.NO_TEXT)
    code_first = command("echo active; exit 4", text="active")
    assert one(shell, code_first) == (FAILED, Reason.WRONG_CODE)


@pytest.mark.parametrize("text", ["*", "a[bc]", "$m", "'", '"; exit 0; "', "\\", "`id`", "é", "*)"])
def test_the_text_is_taken_letter_by_letter(shell: list[str], text: str) -> None:
    assert one(shell, command(f"cat <<'EOF'\nso: {text}.\nEOF", text=text))[0] is PASSED
    assert one(shell, command("echo abc m", text=text))[0] is FAILED


def test_a_script_is_bash_as_it_was_written(shell: list[str]) -> None:
    script = """\
set -euo pipefail
words=(a 'b c' "d'e")
if [[ ${#words[@]} -eq 3 ]]; then
  cat <<'EOF'
$HOME `id` "${words[1]}" \\n
EOF
fi
"""
    expected = '$HOME `id` "${words[1]}" \\n'
    assert one(shell, command(script, text=expected))[0] is PASSED


def test_a_command_has_no_input_and_leaves_the_rest_of_the_script_alone(shell: list[str]) -> None:
    results = run(
        shell,
        command("cat; echo over", text="over"),
        command("echo second", name="second", text="second"),
    )
    assert [result.status for result in results] == [PASSED, PASSED]


@pytest.mark.parametrize(
    "forged",
    [
        "= 0",
        "ended yes 1 0 0",
        "0 ended yes 1 0 0",
        "0 | ended yes 1 0 0",
        f"{MARK} custom.0 = 0",
        f"{MARK} custom.0 0 ended yes 1 0 0",
        f"{MARK} end",
        "}",
        "| ended yes 1 0 0",
    ],
)
def test_what_a_command_writes_is_never_taken_for_ours(shell: list[str], forged: str) -> None:
    (result,) = run(shell, command(f"printf '%s\\n' '{forged}'; exit 7"))
    assert (result.status, result.output) == (FAILED, forged)
    assert result.detail.endswith(forged)


def test_a_command_that_fails_is_told_with_its_output_as_it_was(shell: list[str]) -> None:
    (result,) = run(shell, command("echo first; echo; echo '  | third'; exit 1"))
    assert result.output == "first\n\n  | third"
    assert result.command == "echo first; echo; echo '  | third'; exit 1"


def test_much_output_is_cut_where_it_is_shown_and_its_end_counts(shell: list[str]) -> None:
    flood = "head -c 3000000 /dev/zero | tr '\\0' x; yes | head -n 20000; echo the end"
    assert one(shell, command(flood, text="the end"))[0] is PASSED
    (result,) = run(shell, command(f"{flood}; exit 1"))
    assert result.output.endswith("the end")
    assert len(result.output) <= protocol.OUTPUT_MAX


def test_binary_output_is_survived(shell: list[str]) -> None:
    (result,) = run(shell, command(r"printf '\000\377\033[31m\r\n'; exit 1"))
    assert result.status is FAILED
    assert "\n" not in result.detail
    assert result.detail.isprintable()


def test_a_command_without_an_end_is_ended_and_what_it_wrote_is_kept(shell: list[str]) -> None:
    script = f"echo begun; sleep {FOR_EVER_S}; echo never"
    (result,) = run(shell, command(script, timeout_s=BASH_STARTS_S))
    assert (result.status, result.reason) == (FAILED, Reason.TIMED_OUT)
    assert result.output == "begun"


def test_a_command_that_ignores_sigterm_is_killed(shell: list[str]) -> None:
    script = "trap '' TERM; while :; do sleep 0.1; done"
    assert one(shell, command(script, timeout_s=1)) == (FAILED, Reason.TIMED_OUT)


def test_much_output_without_an_end_costs_no_more(shell: list[str]) -> None:
    (result,) = run(shell, command(f"yes | head -n 100000; sleep {FOR_EVER_S}", timeout_s=1))
    assert (result.status, result.reason) == (FAILED, Reason.TIMED_OUT)


def test_a_command_without_an_end_forges_none(shell: list[str]) -> None:
    script = f"printf '\\n%s code 0\\n' {MARK}x; sleep {FOR_EVER_S}"
    (result,) = run(shell, command(script, timeout_s=1))
    assert (result.status, result.reason) == (FAILED, Reason.TIMED_OUT)


def test_what_a_command_leaves_behind_is_not_waited_for_without_bound(shell: list[str]) -> None:
    script = f"sleep {FOR_EVER_S} & echo done"
    (result,) = run(shell, command(script, timeout_s=BASH_STARTS_S))
    assert result.status is PASSED  # it had ended; what held its output open was ended then


def test_it_is_tried_until_it_passes(shell: list[str], tmp_path: Path) -> None:
    script = "echo x >>tries; test $(wc -l <tries) -ge 3"
    (result,) = run(shell, command(script, retries=4), cwd=tmp_path)
    assert result.status is PASSED
    assert "3 of 5" in result.detail
    assert (tmp_path / "tries").read_text() == "x\n" * 3


def test_it_is_tried_until_its_text_is_there(shell: list[str], tmp_path: Path) -> None:
    script = "echo x >>tries; cat tries | tr -d '\\n'"
    (result,) = run(shell, command(script, text="xxx", retries=4), cwd=tmp_path)
    assert result.status is PASSED
    assert "3 of 5" in result.detail


def test_it_is_tried_no_more_often_than_that_and_not_sooner(
    shell: list[str], tmp_path: Path
) -> None:
    started = time.monotonic()
    check = command("echo x >>tries; false", retries=2, interval_s=0.4)
    assert one(shell, check, cwd=tmp_path) == (FAILED, Reason.WRONG_CODE)
    assert time.monotonic() - started >= 0.8
    assert (tmp_path / "tries").read_text() == "x\n" * 3


def test_a_warning_fails_softly(shell: list[str]) -> None:
    assert one(shell, command("false", is_warning=True)) == (WARNED, Reason.WRONG_CODE)


def test_a_node_without_timeout_could_not_try(shell: list[str], tmp_path: Path) -> None:
    for program in ("sed", "tail", "sleep"):
        (tmp_path / program).symlink_to(shutil.which(program) or "")
    lab = lab_with(command("true"))
    asked = list(custom.expected(lab))
    script = protocol.render(list(custom.parts(lab, lab.nodes[0], asked, Facts())), MARK)
    script = script.replace("PATH=$PATH:/usr/sbin:/sbin", f"PATH={tmp_path}")
    argv = [shutil.which(shell[0]) or "", *shell[1:], "-s"]
    done = subprocess.run(
        argv, input=script, capture_output=True, text=True, timeout=60, check=False
    )
    (result,) = custom.judge(lab, asked, protocol.read(done.stdout, MARK), Facts())
    assert (result.status, result.reason) == (ERROR, Reason.PROGRAM_MISSING)


# --- ports


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def port(number: int, host: str = "", **keys: object) -> CustomCheck:
    made = CustomCheck(name="own", kind=CustomKind.PORT, nodes=("one",), port=number, host=host)
    return dataclasses.replace(made, **keys)  # type: ignore[arg-type]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number: int = server.getsockname()[1]
    return number


def test_a_port_is_open_or_not(shell: list[str], listener: int) -> None:
    assert one(shell, port(listener)) == (PASSED, Reason.OK)
    assert one(shell, port(listener, "localhost")) == (PASSED, Reason.OK)
    assert one(shell, port(closed_port())) == (FAILED, Reason.REFUSED)
    assert one(shell, port(listener, "nosuch.invalid")) == (FAILED, Reason.NAME_UNKNOWN)


def test_a_port_that_never_answers_has_its_time(shell: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        number = full.getsockname()[1]
        held = []
        for _ in range(3):  # fills the queue: no SYN is answered any more
            held.append(socket.socket())
            held[-1].setblocking(False)
            held[-1].connect_ex(("127.0.0.1", number))
        assert one(shell, port(number, timeout_s=1)) == (FAILED, Reason.TIMED_OUT)
        for each in held:
            each.close()


# --- pages


is_over = threading.Event()  # until then the slow page does not come


class _Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = {"/broken": 503, "/away": 302}.get(self.path, 200)
        if self.path == "/slow":
            is_over.wait(FOR_EVER_S)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/else")
        self.end_headers()
        self.wfile.write(f"page {self.path} é\n".encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that hang up are what is tested."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with _Server(("127.0.0.1", 0), _Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        is_over.set()
        server.shutdown()


def page(url: str, **keys: object) -> CustomCheck:
    made = CustomCheck(name="own", kind=CustomKind.HTTP, nodes=("one",), url=url, timeout_s=30.0)
    return dataclasses.replace(made, **keys)  # type: ignore[arg-type]


def test_a_page_is_held_to_its_status(shell: list[str], site: str) -> None:
    assert one(shell, page(f"{site}/")) == (PASSED, Reason.OK)
    assert one(shell, page(f"{site}/broken", http_status=503)) == (PASSED, Reason.OK)
    (result,) = run(shell, page(f"{site}/broken"))
    assert (result.status, result.reason) == (FAILED, Reason.WRONG_PAGE)
    assert "503" in result.detail
    assert "page /broken" in result.output
    (result,) = run(shell, page(f"{site}/away"))
    assert (result.status, result.reason) == (FAILED, Reason.WRONG_PAGE)
    assert "/else" in result.detail


def test_a_page_is_held_to_its_text(shell: list[str], site: str) -> None:
    assert one(shell, page(f"{site}/a?b=c&d='e'", text="page /a?b=c&d='e' é"))[0] is PASSED
    assert "`pages`" in detail(shell, page(f"{site}/", text="pages"))


def test_a_page_that_does_not_come_has_its_time(shell: list[str], site: str) -> None:
    (result,) = run(shell, page(f"{site}/slow", timeout_s=1))
    assert result.status is FAILED
    # Python gives up itself, or timeout(1) ends it, where it took a second to start.
    assert result.reason in (Reason.WRONG_PAGE, Reason.TIMED_OUT)
    assert "1 s" in result.detail


def test_what_is_no_page_is_told_by_its_cause(shell: list[str], site: str) -> None:
    for own, word in (
        (page("http://nosuch.invalid/"), "name"),
        (page(f"http://127.0.0.1:{closed_port()}/"), "refused"),
        (page(site.replace("http:", "https:")), "TLS"),
    ):
        (result,) = run(shell, own)
        assert (result.status, result.reason) == (FAILED, Reason.WRONG_PAGE)
        assert word in result.detail


def test_a_server_that_speaks_something_else_is_no_page(shell: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            peer, _ = server.accept()
            with peer:
                peer.sendall(b"SSH-2.0-nothing\r\n")
                peer.recv(1, socket.MSG_PEEK)
                time.sleep(1.0)  # ample to read the line in
                # As sshd does, it hangs up without reading what it was asked: a reset.

        threading.Thread(target=greet, daemon=True).start()
        (result,) = run(shell, page(f"http://127.0.0.1:{server.getsockname()[1]}/"))
    assert (result.status, result.reason) == (FAILED, Reason.WRONG_PAGE)
    assert "SSH-2.0-nothing" in result.detail


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_certificate_that_nobody_vouches_for_is_refused_loudly(
    shell: list[str], tmp_path: Path
) -> None:
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"]
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "cert")]
    subprocess.run([*argv, *files], check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with _Server(("127.0.0.1", 0), _Pages) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (result,) = run(shell, page(f"https://127.0.0.1:{server.server_address[1]}/"))
        server.shutdown()
    assert result.status is FAILED
    assert result.detail.startswith("CERTIFICATE NOT TRUSTED: "), "loudly"


def test_a_page_is_tried_again(shell: list[str], site: str) -> None:
    check = page(f"{site}/broken", retries=1, interval_s=0.1)
    assert one(shell, check) == (FAILED, Reason.WRONG_PAGE)
    assert "2 of 2" in detail(shell, check)
