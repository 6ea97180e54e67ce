"""A custom check as the node does it: shell for its tries, and what somebody types to repeat it.

Each is a command to the node: a port is bash's /dev/tcp, a page is a few lines of Python. The node
tries it as often as it may, and sends what the last try wrote only when that did not pass. The
user's text travels as one quoted word, and its lines come back behind a number and a bar.
"""

from __future__ import annotations

import shlex
from urllib.parse import urlsplit

from stacklab.checks.result import (
    Check,
)
from stacklab.model.checks import CustomCheck, CustomKind
from stacklab.nodes.protocol import OUTPUT_MAX

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
ATTEMPT = f"""\
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


def attempt_line(check: Check, number: int, custom: CustomCheck) -> str:
    """Return the line of shell that does one check; its words are listed at ATTEMPT."""
    # A command's output is searched by the shell; a page by the Python that gets it.
    text = custom.text if custom.kind is CustomKind.COMMAND else ""
    words = (
        f"{number}",
        f"{custom.retries + 1}",
        f"{custom.interval_s:g}",
        f"{_try_limit_s(custom):g}",
        f"{custom.exit_code}",
        text,
        node_command(check, custom),
    )
    return f"attempt {shlex.join(words)}"


def _try_limit_s(custom: CustomCheck) -> float:
    """Return how long one try may take, before timeout(1) ends it."""
    if custom.kind is CustomKind.HTTP:
        return custom.timeout_s + _PYTHON_START_S
    return custom.timeout_s


def longest_s(custom: CustomCheck) -> float:
    """Return how long all tries of a check may take together."""
    try_s = _try_limit_s(custom) + _KILL_AFTER_S + _OWN_TIME_S
    return (custom.retries + 1) * try_s + custom.retries * custom.interval_s


def node_command(check: Check, custom: CustomCheck) -> str:
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
            connect = shlex.quote(node_command(check, custom))
            return f"timeout {custom.timeout_s:g} bash -c {connect}"
        case CustomKind.HTTP:
            request = f"u.urlopen({custom.url!r}, timeout={custom.timeout_s:g})"
            code = f"import urllib.request as u; print({request}.read())"
            return f"python3 -c {shlex.quote(code)}"
