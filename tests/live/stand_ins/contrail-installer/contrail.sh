# shellcheck shell=bash
# Stands for Juniper/contrail-installer's contrail.sh, branch master. Like that one it can't be
# executed, only run by bash: the real one's #! is on its second line.
# It does what the real one does to files, processes and its exit code, by the same rules:
# what went wrong is mostly not looked at, and a verb whose turn it is not ends with 0.
# /srv/broken/WORD makes it fail at a place of its own.
if [[ $EUID -eq 0 ]]; then
  echo "You are running this script as root."
  exit 1
fi
TOP_DIR=$(pwd)
# shellcheck source=/dev/null
source ./localrc

ENABLED_SERVICES=named,dns,redis,apiSrv,schema,control,query-engine,agent,redis-w,ui-webs
STAGE=$TOP_DIR/.stage.txt
PIDS=$TOP_DIR/status/contrail
broken() { [[ -e /srv/broken/$1 ]]; }
# LOG_LEVEL=3 writes what is about to be run, with the time before it.
tell() { echo "$(date '+%Y-%m-%d %H:%M:%S ') $*"; }
read_stage() { head -n 1 "$STAGE"; }
change_stage() { [[ $1 == "$(read_stage)" ]] && echo "$2" >"$STAGE"; }
only_at() {
  [[ $(read_stage) =~ ^($2)$ ]] && return
  tell "Invalid option:$1 at the execution stage of the script:$(read_stage)"
  exit
}
is_service_enabled() { [[ ,$ENABLED_SERVICES, == *,$1,* ]]; }
trap 'echo "exited with status :$?"' EXIT

screen_it() {
  if ! is_service_enabled "$1"; then tell "SERVICE IS NOT ENABLED"; return; fi
  screen -S contrail -X screen -t "$1" bash -c "$2 & echo \$! >$PIDS/$1.pid; wait"
  while [[ ! -s $PIDS/$1.pid ]]; do sleep 0.1; done
}

build_contrail() {
  only_at build 'started|Dependencies|python-dependencies|repo-init|repo-sync|fetch-packages|Build'
  change_stage started fetch-packages
  tell "+ [[ -d third_party ]] || die 'cannot build'"
  tell "+ scons --opt=production controller/src/vnsw vrouter"
  if [[ $INSTALL_PROFILE == COMPUTE ]]; then
    agent=/opt/stack/contrail/build/production/vnsw/agent/contrail
    sudo install -d -o "$(id -un)" /opt/stack/contrail
    mkdir -p "$agent"
    if broken vnsw; then tell "scons: *** [vnsw/agent/pkt.o] Error 1"; else touch "$agent/contrail-vrouter-agent"; fi
  fi
  change_stage fetch-packages Build
  tell "+ echo_summary 'BUILD PHASE ENDED, 0 errors, whatever failed'"
}

install_contrail() { only_at install 'Build|install'; change_stage Build install; }

configure_contrail() {
  only_at configure install
  if ! grep -q : "/sys/class/net/$PHYSICAL_INTERFACE/address"; then
    tell "interface not found try another interface inside else"
    exit 1
  fi
  sudo install -d -o "$(id -un)" /etc/contrail
  echo "dev=$PHYSICAL_INTERFACE" >/etc/contrail/contrail-compute.conf
}

start_contrail() {
  mkdir -p "$PIDS"
  if compgen -G "$PIDS/*.pid" >/dev/null; then
    tell "contrail is already running to restart use contrail.sh stop and contrail.sh start"
    exit
  fi
  screen -d -m -S contrail -t shell -s /bin/bash
  sleep 0.5
  if [[ $INSTALL_PROFILE == ALL ]]; then
    screen_it redis "sleep infinity"
    limit_s=60
    if broken api; then
      limit_s=1
      screen_it apiSrv "sleep infinity"
    else
      screen_it apiSrv "python3 -m http.server --bind $SERVICE_HOST 8082"
    fi
    tell "Waiting for api-server to start..."
    if ! timeout $limit_s bash -c "until (</dev/tcp/$SERVICE_HOST/8082) 2>/dev/null; do sleep 0.2; done"; then
      tell "api-server did not start"
      exit 1
    fi
  else
    # provision_vrouter.py, whose exit code is not looked at
    (exec 3<>"/dev/tcp/$SERVICE_HOST/8082") || tell "provision_vrouter.py: Connection refused"
  fi
  screen_it agent "sudo sleep infinity"
}

stop_contrail() {
  screen -S contrail -X quit
  for file in "$PIDS"/*.pid; do
    sudo kill -9 "$(cat "$file")"
    rm "$file"
  done
}

[[ -f $STAGE ]] || echo started >"$STAGE"
"${1}_contrail"
