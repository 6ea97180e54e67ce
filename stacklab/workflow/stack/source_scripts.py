"""Render the shell by which a node tries one source. Pure; see sources.py.

What fetches later may not be there yet: base images have neither git nor curl. So the best
program that the node has tries the source; each writes `by WAY` first, so that people know.
APT's own downloader, which every Debian and Ubuntu has, does as well as curl.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from stacklab.installers.kit.sources import SourceKind

LIMIT_S = 25  # of one program; an emulated node needs seconds for TLS alone
PART_LIMIT_S = 4 * LIMIT_S
NO_REF = 44  # our exit code: the repository is there, and its ref is not
_COMMIT_DIGITS = 40

# Everything is written below a directory of its own, and goes with it.
_HEAD = """\
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
have() { command -v "$1" >/dev/null 2>&1; }
dial() {
  echo "by a connection to $place"
  timeout 10 bash -c 'exec 3<>"/dev/tcp/${1%:*}/${1##*:}"' dial "$place" 2>"$dir/said" && return
  code=$?
  sed 's/^dial: line [0-9]*: //; s/^dial: connect: //; q' "$dir/said"
  [ $code != 124 ] || echo "no answer within 10 s"
  return 1
}
apt_fetch() {
  timeout "$limit" /usr/lib/apt/apt-helper -o Acquire::Retries=0 -o Acquire::http::Timeout=10 \\
    -o Acquire::https::Timeout=10 $apt_trust download-file "$1" "$2" >"$dir/said" 2>&1 && return
  code=$?
  sed -n 's/^E: Failed to fetch [^ ]* *//p' "$dir/said"
  [ $code != 124 ] || echo "no answer within $limit s"
  return 1
}
fetch() {
  if have curl; then
    echo "by curl"
    curl -sSfL $curl_trust --connect-timeout 10 -m "$limit" -o "$2" "$1" 2>&1
  elif [ -x /usr/lib/apt/apt-helper ]; then
    echo "by APT's downloader"
    apt_fetch "$1" "$2"
  else
    dial
  fi
}
"""

_GIT = """\
if have git; then
  echo "by git ls-remote"
  timeout "$limit" git -c http.sslVerify="$verify" ls-remote "$url" >"$dir/refs" 2>"$dir/said"
  code=$?
  if [ $code != 0 ]; then
    grep -v '^$' "$dir/said" | head -n 3
    [ $code != 124 ] || echo "no answer within $limit s"
    exit 1
  fi
else
  case $url in
    http*) fetch "$url/info/refs?service=git-upload-pack" "$dir/refs" || exit 1 ;;
    *) dial || exit 1 ;;
  esac
fi
[ -n "$ref" ] && [ -s "$dir/refs" ] || exit 0
# Both forms of the list have a ref at the end of its line; a tag may be followed by ^{}.
for full in "$ref" "refs/heads/$ref" "refs/tags/$ref"; do
  tr '\\000' '\\n' <"$dir/refs" | grep -a -q "[[:blank:]]$full\\$" && exit 0
done
exit __NO_REF__
"""

_PIP = 'fetch "${url%/}/pip/" "$dir/index"\n'

# One list of those that the node names is enough: `apt-get update` warns of the others.
_PACKAGES = """\
have apt-get || exit 0
echo "by APT's downloader"
if [ -n "$url" ]; then
  apt-get --print-uris update | sed -E "s#https?://[^ ']*/(debian|ubuntu)/#${url%/}/#"
else
  apt-get --print-uris update
fi >"$dir/uris" 2>&1
sed -n "s/^'\\\\([^']*InRelease\\\\)'.*/\\\\1/p" "$dir/uris" | head -n 6 >"$dir/lists"
[ -s "$dir/lists" ] || { echo "its sources name no mirror"; exit 1; }
while read -r list; do
  apt_fetch "$list" "$dir/list" >>"$dir/failed" && exit 0
done <"$dir/lists"
head -n 3 "$dir/failed"
exit 1
"""

# An answer of any kind will do: a registry asks for a log-in first.
_REGISTRY = """\
have curl || { dial; exit; }
echo "by curl"
curl -sSL $curl_trust --connect-timeout 10 -m "$limit" -o "$dir/answer" "$url" 2>&1
"""

# Without its body, which may be large.
_FILE = """\
have curl || { dial; exit; }
echo "by curl"
curl -sSfIL $curl_trust --connect-timeout 10 -m "$limit" -o "$dir/answer" "$url" 2>&1
"""

_SCRIPTS = {
    SourceKind.GIT: _GIT.replace("__NO_REF__", str(NO_REF)),
    SourceKind.PIP: _PIP,
    SourceKind.PACKAGES: _PACKAGES,
    SourceKind.REGISTRY: _REGISTRY,
    SourceKind.FILE: _FILE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTrial:
    """What a node tries; `place` is what it connects to, which may be a proxy."""

    kind: SourceKind
    url: str
    place: str
    ref: str = ""
    is_base: bool = False
    proxy: Mapping[str, str]  # http_proxy and the like
    # The host trusts authorities that the node learns of in a stage: until then it can't verify.
    trusts_anything: bool = False


def render(trial: SourceTrial) -> str:
    """Return the script: POSIX sh, exit code 0 if the source is there."""
    is_commit = len(trial.ref) == _COMMIT_DIGITS and set(trial.ref) <= set("0123456789abcdef")
    values = {
        "url": trial.url,
        "place": trial.place,
        "limit": str(LIMIT_S),
        # No list of refs names commits.
        "ref": "" if is_commit else trial.ref,
        "verify": "false" if trial.trusts_anything else "true",
        "curl_trust": "-k" if trial.trusts_anything else "",
        "apt_trust": "-o Acquire::https::Verify-Peer=false" if trial.trusts_anything else "",
    }
    settings = [f"{name}={shlex.quote(value)}\n" for name, value in values.items()]
    settings += [f"export {name}={shlex.quote(value)}\n" for name, value in trial.proxy.items()]
    settings.append("export GIT_TERMINAL_PROMPT=0\n")
    work = "dial\n" if trial.is_base else _SCRIPTS[trial.kind]
    # In a shell of its own, so that `exit` ends the trial and not the session's part.
    return f"(\n{''.join(settings)}{_HEAD}{work})"
