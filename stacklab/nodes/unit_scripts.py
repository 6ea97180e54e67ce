"""Render the shell that `units` runs on a node, as root. Pure; see units.py.

On the node each unit has a directory, /var/lib/stacklab-units/NAME, that outlives a reboot:

    script, run         the work, and what starts it
    rest, over          what waits for its last words, and what writes down its end
    digest              of the script: the same name must not hide other work
    begun               boot id and time; written by the unit itself before the work begins
    output              both streams, `most_bytes` at most
    left-out            the number of bytes beyond that
    ended               how the work ended, by systemd's own account; below /run if the disk is full
"""

from __future__ import annotations

import base64
import hashlib
import shlex

ROOT = "/var/lib/stacklab-units"
UNIT_FILES = "/run/systemd/system"  # gone after a reboot, as the unit is
OLDEST_SYSTEMD = 243  # Type=exec, and what a unit's end is told by
CHUNK_BYTES = 1024 * 1024  # of the output, sent by one base64(1)
LINE_CHARACTERS = 3000  # of base64: 2250 bytes, a multiple of 3, so each line stands alone
LOST_EVERY = 20  # polls, of half a second to three, between two looks whether the unit still exists
# Polls without output, after which they are a second apart, and three.
_QUIET_AFTER = 20
_SILENT_AFTER = 60

# exec: systemd sees how the work itself ends. The writer of the output ignores SIGTERM, so that
# it drains the pipe after the work has ended or was killed. It does so from its first instant:
# systemd sends SIGTERM as soon as the work is over, which may be before the writer has begun.
# head(1) alone would write every 4 KiB only, and dd(1) counts a short read as a whole block.
_RUN = """\
#!/bin/bash
dir=$1 most=$2
printf '%s %s\\n' "$(cat /proc/sys/kernel/random/boot_id)" "$(date +%s.%N)" >"$dir/begun.new"
mv "$dir/begun.new" "$dir/begun"
cd ~ || cd /
trap '' TERM INT HUP
exec > >(
  stdbuf -o0 head -c "$most" >>"$dir/output"
  wc -c >"$dir/left-out"
) 2>&1
trap - TERM INT HUP
exec /bin/sh "$dir/script" </dev/null
"""

# systemd.service(5) "ExecStop": it runs before what the work has left is sent SIGTERM, if the work
# has ended with a code that is a success, and so each code is one. A script whose output goes
# through its own tee(1), as stack.sh's does, ends before that has written all.
_REST = """\
#!/bin/sh
dir=$1 looks=0
[ -z "$MAINPID" ] || exit 0 # somebody stops the work itself
while [ ! -e "$dir/left-out" ] && [ "$looks" -lt 30 ]; do
  sleep 0.1
  looks=$((looks + 1))
done
"""

# systemd.exec(5) "Environment variables set on service processes": systemd 232 and later.
# It runs when no process of the unit is left: the output is complete by then. As root, for
# whom systemctl needs no D-Bus, which a shutdown may have stopped already.
_OVER = """\
#!/bin/sh
dir=$1
ended="${EXIT_CODE:-none} ${EXIT_STATUS:-none} ${SERVICE_RESULT:-none} \\
$(date +%s.%N) $(systemctl is-system-running)"
# Where the disk is full, the end is kept in memory: otherwise the work would count as lost.
printf '%s\\n' "$ended" 2>/dev/null >"$dir/ended.new"
if [ -s "$dir/ended.new" ]; then
  sync "$dir/output" "$dir/ended.new" 2>/dev/null
  mv "$dir/ended.new" "$dir/ended"
else
  rm -f "$dir/ended.new"
  printf '%s\\n' "$ended" >"/run/stacklab-unit-${dir##*/}.ended"
fi
"""

# `is-active` comes first: of a unit that ends meanwhile, the files then show the end.
_STATUS = """\
status() {
  active=$(systemctl is-active "$unit")
  [ -d "$dir" ] || return 0
  printf 'active %s\\n' "$active"
  printf 'boot %s\\n' "$(cat /proc/sys/kernel/random/boot_id)"
  for file in digest begun ended left-out; do
    [ ! -e "$dir/$file" ] || printf '%s %s\\n' "$file" "$(head -c 300 "$dir/$file" | head -n 1)"
  done
  [ ! -e "$in_memory" ] || printf 'ended %s\\n' "$(head -c 300 "$in_memory" | head -n 1)"
  df -Pk "$dir" | { read -r _; read -r _ _ _ free _; printf 'free %s\\n' "$free"; }
  printf 'size %s\\n' "$(stat -c %s "$dir/output" 2>/dev/null || echo 0)"
}
"""

_START = """\
main() {{
  umask 077
  mkdir -p {root} && chmod 711 {root} || return 1
  exec 9>{root}/.lock
  flock -w 30 9 || return 1
  if [ ! -e "$dir/begun" ] && [ ! -e "$dir/ended" ] && ! systemctl -q is-active "$unit"; then
    is_new_enough && begin 9>&- || return 1
  fi
  status
}}
is_new_enough() {{
  version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \\([0-9]*\\).*/\\1/p')
  [ "${{version:-0}}" -lt {oldest} ] || return 0
  echo "its systemd is ${{version:-not there}}, and work needs {oldest} or later;" \
    "its commands can be typed by hand: ./invoke answers.steps shows them"
  return 1
}}
begin() {{
  rm -rf "$dir" "$in_memory"
  mkdir "$dir" || return 1
  cd "$dir" || return 1
  put script {script} || return 1
  put run {run} || return 1
  put rest {rest} || return 1
  put over {over} || return 1
  echo {digest} >digest || return 1
  : >output
  chown -R {user}: "$dir" || return 1
  # A unit file, not systemd-run: a daemon-reload while the work runs, which installers do, makes
  # systemd 252 forget the ExecStopPost of a transient unit.
  mkdir -p {unit_files}
  cat >"{unit_files}/$unit" <<END || return 1
[Unit]
Description=stacklab: {name}
CollectMode=inactive-or-failed
[Service]
Type=exec
User={user}
KillMode=control-group
TimeoutStopSec=20
TasksMax=infinity
OOMPolicy=continue
IgnoreSIGPIPE=no
SuccessExitStatus=$(seq -s ' ' 1 255)
{limit}
ExecStart=/bin/bash $dir/run $dir {most}
ExecStop=-/bin/sh $dir/rest $dir
ExecStopPost=+/bin/sh $dir/over $dir
END
  chmod 644 "{unit_files}/$unit"
  # Newer ones find a new file by themselves.
  systemctl start "$unit" 2>/dev/null || {{ systemctl daemon-reload && systemctl start "$unit"; }}
}}
put() {{ printf '%s' "$2" | base64 -d >"$1"; }}
main </dev/null
"""

_ATTACH = """\
main() {{
  at={offset} polls=0 quiet=0
  printf '%s begin\\n' "$m"
  while :; do
    over=no
    [ ! -e "$dir/ended" ] && [ ! -e "$in_memory" ] || over=yes
    [ $((polls % {lost_every})) -ne 0 ] || is_alive || over=yes
    size=$(stat -c %s "$dir/output" 2>/dev/null || echo 0)
    if [ "$size" -gt "$at" ]; then
      count=$((size - at))
      [ "$count" -le {chunk} ] || count={chunk}
      printf '%s chunk %s\\n' "$m" "$at"
      tail -c +$((at + 1)) "$dir/output" | head -c "$count" | base64 -w {line}
      at=$((at + count)) quiet=0
      printf '%s at %s\\n' "$m" "$at"
      # After a full chunk there is more to send. Otherwise rest as well: a chunk costs five
      # processes, and following work that writes steadily must not slow that work down.
      [ "$count" -lt {chunk} ] || continue
    fi
    [ $over = no ] || break
    polls=$((polls + 1))
    # Where the connection is gone, it is this line that ends the script.
    printf '%s still\\n' "$m"
    # A look costs two processes, which an emulated node feels: look less often at what is quiet.
    quiet=$((quiet + 1))
    if [ "$quiet" -le {quiet_after} ]; then sleep 0.5
    elif [ "$quiet" -le {silent_after} ]; then sleep 1
    else sleep 3
    fi
  done
  status | while IFS= read -r line; do printf '%s status %s\\n' "$m" "$line"; done
  printf '%s end\\n' "$m"
}}
is_alive() {{
  case $(systemctl is-active "$unit") in active | activating | deactivating) return 0 ;; esac
  return 1
}}
main </dev/null
"""

_STOP = """\
timeout 60 systemctl stop "$unit" 2>/dev/null
status
"""

_FORGET = """\
if systemctl -q is-active "$unit"; then echo "it still runs"; exit 1; fi
rm -rf "$dir" "$in_memory" "{unit_files}/$unit"
"""


def digest(script: str) -> str:
    """Return a digest that tells one script from another."""
    return hashlib.sha256(script.encode()).hexdigest()[:32]


def start(name: str, script: str, *, user: str, limit_s: float | None, most_bytes: int) -> str:
    """Return the script that starts a unit unless it was started before, and prints its status."""
    return _render_head(name) + _START.format(
        root=ROOT,
        script=_encode_text(script),
        run=_encode_text(_RUN),
        rest=_encode_text(_REST),
        over=_encode_text(_OVER),
        digest=digest(script),
        user=user,
        name=name,
        unit_files=UNIT_FILES,
        oldest=OLDEST_SYSTEMD,
        limit="" if limit_s is None else f"RuntimeMaxSec={limit_s:g}",
        most=most_bytes,
    )


def status(name: str) -> str:
    """Return the script that prints a unit's status."""
    return f"{_render_head(name)}status\n"


def stop(name: str) -> str:
    """Return the script that stops a unit, and prints its status."""
    return _render_head(name) + _STOP


def forget(name: str) -> str:
    """Return the script that removes all that is left of a unit that does not run."""
    return _render_head(name) + _FORGET.replace("{unit_files}", UNIT_FILES)


def attach(name: str, marker: str, offset: int) -> str:
    """Return the script that sends a unit's output from a byte on, until the unit is over."""
    return f"m={shlex.quote(marker)}\n{_render_head(name)}" + _ATTACH.format(
        offset=offset,
        chunk=CHUNK_BYTES,
        line=LINE_CHARACTERS,
        lost_every=LOST_EVERY,
        quiet_after=_QUIET_AFTER,
        silent_after=_SILENT_AFTER,
    )


def _render_head(name: str) -> str:
    # The prefix is longer than "stacklab-", because images bring units with that prefix.
    return (
        "PATH=$PATH:/usr/sbin:/sbin\nexport LC_ALL=C\n"
        f"dir={ROOT}/{name} unit=stacklab-unit-{name}.service\n"
        f"in_memory=/run/stacklab-unit-{name}.ended\n{_STATUS}"
    )


def _encode_text(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
