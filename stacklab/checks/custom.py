"""Checks of layer `custom`: what the spec's own list asks for.

Each is a command to the node: a port is bash's /dev/tcp, a page is a few lines of Python. The node
tries it as often as it may, and sends what the last try wrote only when that did not pass. The
user's text travels as one quoted word, and its lines come back behind a number and a bar.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from stacklab.checks import answers
from stacklab.checks.family import Facts, Family
from stacklab.checks.result import (
    Check,
    CheckKind,
    CheckResult,
    CheckStatus,
    Layer,
    Reason,
    Verdict,
)
from stacklab.installers import name_nic
from stacklab.model.checks import CustomCheck, CustomKind
from stacklab.model.lab import NIC, Lab, Node
from stacklab.nodes.protocol import NOT_FOUND, OUTPUT_MAX, Answer, Part, is_number
from stacklab.tools import ssh

_KINDS = {
    CustomKind.COMMAND: CheckKind.COMMAND,
    CustomKind.PORT: CheckKind.TCP,
    CustomKind.HTTP: CheckKind.HTTP,
}
_AT_ONCE = 4  # on one node: an emulated one that starts twenty at once is late with all of them
_DETAIL_MAX = 200  # characters of what a program wrote
_NOT_RUN = (125, 126, NOT_FOUND)  # timeout(1)'s codes where it could not start anything
_KILL_AFTER_S = 2  # for what ignores SIGTERM
_OWN_TIME_S = 5.0  # forks and sleep(1) of one try on an emulated node
_PYTHON_START_S = 5.0

# What a try runs in: $1 is the user's command, and our marker comes by a descriptor: the command
# could read words of a command line, and the environment, in /proc. timeout(1) ends its whole
# process group; tail stays to hand on what was written until then. A command that leaves something
# behind that holds the output open has not ended.
_INNER = """\
trap : TERM
read -r marker <&3
exec 3<&-
{
  bash -c "$1" 2>&1; printf '\\n%s code %s\\n' "$marker" "$?"
} | { trap '' TERM; exec tail -c 65536; }"""

# attempt NUMBER TRIES INTERVAL LIMIT WANTED TEXT COMMAND
# It writes `NUMBER ended yes|no|text TRIES CODE|- CODE_OF_TIMEOUT`, then what the last try wrote if
# that was not `yes`. `case` stands before `##`: a shell that looks in vain for a prefix in 64 KiB
# takes minutes.
_ATTEMPT = f"""\
inner={shlex.quote(_INNER)}
attempt() {{
  n=0
  while :; do
    n=$((n + 1)) ok=no code=-
    out=$(timeout -k {_KILL_AFTER_S} "$4" bash -c "$inner" custom "$7" 2>&1 3<<MARKER
$m
MARKER
); rc=$?
    case $out in
      *"$m code "*) code=${{out##*"$m code "}}; out=${{out%"$m code "*}} ;;
    esac
    if [ "$code" = "$5" ]; then
      case $out in *"$6"*) ok=yes; break ;; *) ok=text ;; esac
    fi
    [ "$n" -lt "$2" ] || break
    sleep "$3"
    echo "try $1 $n" # nobody reads this; where the session is gone, it ends this script, too
  done
  echo "$1 ended $ok $n $code $rc"
  [ $ok = yes ] || printf '%s\\n' "$out" | tail -c {OUTPUT_MAX} | sed "s/^/$1 | /"
}}"""

# What python3-minimal has and Python 3.4 knows: no http.client. Its first line says what is wrong.
# An HTTP/1.0 request, since its answer comes in one piece.
_PAGE = """\
import os, socket, ssl, sys
host, port, path, is_tls, status, text, limit = sys.argv[1:]
text, limit, page = os.fsencode(text), float(limit), b""
def no(why):
    sys.stdout.buffer.write(why.encode("utf-8", "replace") + b"\\n" + page[:1500])
    sys.exit(1)
try:
    peer = socket.create_connection((host, int(port)), limit)
    if is_tls == "yes":
        peer = ssl.create_default_context().wrap_socket(peer, server_hostname=host)
    name = host if port == ("443" if is_tls == "yes" else "80") else host + ":" + port
    lines = ("GET %s HTTP/1.0" % path, "Host: " + name, "User-Agent: stacklab")
    lines += ("Connection: close", "", "")
    peer.sendall("\\r\\n".join(lines).encode())
    while len(page) < 1048576:
        more = peer.recv(65536)
        if not more:
            break
        page += more
except ssl.CertificateError as error:
    no("CERTIFICATE NOT TRUSTED: %s" % getattr(error, "verify_message", error))
except ssl.SSLError as error:
    untrusted = "CERTIFICATE_VERIFY_FAILED" in str(error)
    no(("CERTIFICATE NOT TRUSTED: %s" if untrusted else "no TLS: %s") % error)
except socket.timeout:
    no("no answer within %g s" % limit)
except socket.gaierror:
    no("name not known")
except ConnectionRefusedError:
    no("refused")
except OSError as error:
    # What answered something else and hung up is a server of another protocol.
    if not page or page.startswith(b"HTTP/"):
        no(error.strerror or str(error))
words = page.split(None, 2)
if not page.startswith(b"HTTP/") or len(words) < 2:
    no("no HTTP answer: %r" % page[:60] if page else "no HTTP answer: nothing came")
if words[1] != status.encode():
    came = "status %s, not %s" % (words[1].decode("latin-1"), status)
    head = page.splitlines()[:50]
    to = [line[9:].strip() for line in head if line.lower().startswith(b"location:")]
    no("%s (it points to %s)" % (came, to[0].decode("latin-1")) if to else came)
page = page.partition(b"\\r\\n\\r\\n")[2]
if text not in page:
    no("`%s` is not in the page" % text.decode("utf-8", "replace"))"""


@dataclass(frozen=True, slots=True)
class _Attempts:
    """The end of a node's tries; `code` is None when the last one had to be ended."""

    is_passed: bool
    is_text_missing: bool
    tries: int
    code: int | None
    timeout_code: int
    output: str


def expected(lab: Lab) -> Iterator[Check]:
    """See Family.expected."""
    for custom in lab.checks.custom:
        end = _port_end(lab, custom)
        for name in custom.nodes:
            yield _custom_check(custom, lab.node(name), end)


def _port_end(lab: Lab, custom: CustomCheck) -> tuple[Node, NIC] | None:
    """Return the node that a port is asked of, and its NIC; None where it is not of the lab."""
    if custom.kind is not CustomKind.PORT:
        return None
    for node in lab.nodes:
        if custom.host == node.name:
            return node, name_nic(lab, node)
        for nic in node.nics:
            if custom.host == str(nic.address.ip):
                return node, nic
    return None


def _custom_check(custom: CustomCheck, node: Node, end: tuple[Node, NIC] | None) -> Check:
    """Return the check that a node does; `end` is the node and NIC that it goes to, if any."""
    kind = _KINDS[custom.kind]
    if end is None:
        return Check(kind=kind, node=node.name, subject=custom.name)
    target, nic = end
    # The node may not be on that network: then its packets leave by the first NIC.
    own_nic = node.nic_on(nic.network) or node.access
    return Check(
        kind=kind,
        node=node.name,
        target=target.name,
        network=nic.network,
        address=str(nic.address.ip),
        device=own_nic.device,
        subject=custom.name,
    )


def parts(lab: Lab, node: Node, checks: Sequence[Check], facts: Facts) -> Iterator[Part]:
    """See Family.parts; a part has several checks, one after the other."""
    by_name = _numbered_checks(lab)
    lanes: dict[str, list[str]] = {}
    limits: dict[str, float] = {}
    for check in checks:
        number, custom = by_name[check.subject]
        tag = _lane_tag(number)
        lanes.setdefault(tag, [_ATTEMPT]).append(_attempt_line(check, number, custom))
        limits[tag] = limits.get(tag, 0.0) + _longest_s(custom)
    for tag, lines in lanes.items():
        yield Part(tag=tag, shell="\n".join(lines), limit_s=limits[tag])


def _numbered_checks(lab: Lab) -> dict[str, tuple[int, CustomCheck]]:
    """Return each custom check by its name, with its place in the spec."""
    return {custom.name: (number, custom) for number, custom in enumerate(lab.checks.custom)}


def _lane_tag(number: int) -> str:
    """Return the part that a check is done in: few parts, so that few checks run at once."""
    return f"custom.{number % _AT_ONCE}"


def _attempt_line(check: Check, number: int, custom: CustomCheck) -> str:
    """Return the line of shell that does one check; its words are listed at _ATTEMPT."""
    # A command's output is searched by the shell; a page by the Python that gets it.
    text = custom.text if custom.kind is CustomKind.COMMAND else ""
    words = (
        f"{number}",
        f"{custom.retries + 1}",
        f"{custom.interval_s:g}",
        f"{_try_limit_s(custom):g}",
        f"{custom.exit_code}",
        text,
        _node_command(check, custom),
    )
    return f"attempt {shlex.join(words)}"


def _try_limit_s(custom: CustomCheck) -> float:
    """Return how long one try may take, before timeout(1) ends it."""
    if custom.kind is CustomKind.HTTP:
        return custom.timeout_s + _PYTHON_START_S
    return custom.timeout_s


def _longest_s(custom: CustomCheck) -> float:
    """Return how long all tries of a check may take together."""
    try_s = _try_limit_s(custom) + _KILL_AFTER_S + _OWN_TIME_S
    return (custom.retries + 1) * try_s + custom.retries * custom.interval_s


def _node_command(check: Check, custom: CustomCheck) -> str:
    """Return what bash has to run on the node: it ends with `exit_code` if the check passes."""
    match custom.kind:
        case CustomKind.COMMAND:
            return custom.command
        case CustomKind.PORT:
            host = check.address or custom.host or "127.0.0.1"
            return f"exec 3<>/dev/tcp/{host}/{custom.port}"
        case CustomKind.HTTP:
            words = ("python3", "-c", _PAGE, *_page_words(custom))
            return f"exec {shlex.join(words)}"


def _page_words(custom: CustomCheck) -> tuple[str, ...]:
    """Return the words that _PAGE is given: where the page is, and what is wanted of it."""
    url = urlsplit(custom.url)
    port, is_tls = url.port or 80, "no"
    if url.scheme == "https":
        port, is_tls = url.port or 443, "yes"
    path = url.path or "/"
    if url.query:
        path += f"?{url.query}"
    place = (url.hostname or "", f"{port}", path, is_tls)
    return (*place, f"{custom.http_status}", custom.text, f"{custom.timeout_s:g}")


def command_line(check: Check, custom: CustomCheck) -> str:
    """Return what to type on the node to try one check again."""
    match custom.kind:
        case CustomKind.COMMAND:
            return custom.command
        case CustomKind.PORT:
            connect = shlex.quote(_node_command(check, custom))
            return f"timeout {custom.timeout_s:g} bash -c {connect}"
        case CustomKind.HTTP:
            request = f"u.urlopen({custom.url!r}, timeout={custom.timeout_s:g})"
            code = f"import urllib.request as u; print({request}.read())"
            return f"python3 -c {shlex.quote(code)}"


def judge(lab: Lab, checks: Sequence[Check], answer: Answer, facts: Facts) -> Iterator[CheckResult]:
    """See Family.judge."""
    by_name = _numbered_checks(lab)
    for check in checks:
        number, custom = by_name[check.subject]
        tag = _lane_tag(number)
        ended = _read_attempts(answer.of(tag).lines, number)
        if ended is None:
            broken = Verdict.error(Reason.UNREADABLE, "its answer is broken")
            verdict, output = answers.missing(answer, tag) or broken, answer.of(tag).text
        else:
            verdict = _with_tries(custom, ended, _judge_attempts(check, custom, ended))
            output = ended.output
        yield verdict.of(check, command=command_line(check, custom), output=output)


def _with_tries(custom: CustomCheck, ended: _Attempts, verdict: Verdict) -> Verdict:
    """Return the verdict with the number of tries, as a warning where the author wants that."""
    status, detail = verdict.status, verdict.detail
    if ended.tries > 1:
        detail += f" (try {ended.tries} of {custom.retries + 1})"
    if status is CheckStatus.FAILED and custom.is_warning:
        status = CheckStatus.WARNED
    return Verdict(status, verdict.reason, detail, verdict.about)


def _read_attempts(lines: Sequence[str], number: int) -> _Attempts | None:
    """Take apart what `attempt` wrote of one check; None if it is missing or is something else."""
    mark = f"{number} "
    own_lines = [line.removeprefix(mark) for line in lines if line.startswith(mark)]
    # Ours comes first; what the last try wrote follows, behind a bar.
    words = own_lines[0].split() if own_lines else []
    if len(words) != 5 or words[0] != "ended":
        return None
    _, outcome, tries, code, timeout_code = words
    if not is_number(tries) or not is_number(timeout_code):
        return None
    output = [line.removeprefix("|").removeprefix(" ") for line in own_lines[1:]]
    return _Attempts(
        is_passed=outcome == "yes",
        is_text_missing=outcome == "text",
        tries=int(tries),
        code=int(code) if is_number(code) else None,
        timeout_code=int(timeout_code),
        output="\n".join(output).strip("\n"),
    )


def _judge_attempts(check: Check, custom: CustomCheck, ended: _Attempts) -> Verdict:
    """Judge how the last of a node's tries ended."""
    last = _last_line(ended.output)
    if ended.is_passed:
        return Verdict.passed(_passed_detail(custom))
    if ended.code is None and ended.timeout_code in _NOT_RUN:
        detail = f"timeout or bash can't be run on {check.node}: {last}"
        return Verdict.error(Reason.PROGRAM_MISSING, detail, about="bash")
    if ended.code is None:
        what = "no end" if custom.kind is CustomKind.COMMAND else "no answer"
        return Verdict.failed(Reason.TIMED_OUT, f"{what} within {custom.timeout_s:g} s")
    if ended.is_text_missing:
        return Verdict.failed(Reason.NO_TEXT, f"`{custom.text}` is not in what it wrote")
    match custom.kind:
        case CustomKind.COMMAND:
            complaint = f": {last}" if last else ""
            detail = f"exit code {ended.code}, not {custom.exit_code}{complaint}"
            return Verdict.failed(Reason.WRONG_CODE, detail)
        case CustomKind.PORT:
            detail = ssh.classify(ended.output) or last
            return Verdict.failed(answers.connection(ended.output), detail)
        case CustomKind.HTTP:
            return _judge_page(check, ended)


def _judge_page(check: Check, ended: _Attempts) -> Verdict:
    """Judge what our Python wrote about a page: its first line says what is wrong."""
    if ended.code == NOT_FOUND:
        return answers.not_installed("python3", check.node)
    # Another exit code is Python's own, for instance where it lacks its module ssl.
    if ended.code != 1 or ended.output.startswith("Traceback"):
        detail = f"python3 on {check.node} could not try: {_last_line(ended.output)}"
        return Verdict.error(Reason.PROGRAM_FAILED, detail, about="python3")
    first_line, _, _ = ended.output.partition("\n")
    return Verdict.failed(Reason.WRONG_PAGE, _on_one_line(first_line))


def _passed_detail(custom: CustomCheck) -> str:
    """Return the sentence of a check that passed."""
    match custom.kind:
        case CustomKind.COMMAND:
            return f"exit code {custom.exit_code}"
        case CustomKind.PORT:
            return "connected"
        case CustomKind.HTTP:
            return f"status {custom.http_status}"


def _last_line(text: str) -> str:
    """Return the last line of what a program wrote: mostly its complaint."""
    return _on_one_line(text.strip().rpartition("\n")[2])


def _on_one_line(text: str) -> str:
    """Make a program's words fit for one line of a table."""
    return "".join(char if char.isprintable() else " " for char in text).strip()[:_DETAIL_MAX]


FAMILY = Family(layers=(Layer.CUSTOM,), expected=expected, parts=parts, judge=judge)
