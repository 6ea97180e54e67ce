#!/usr/bin/env bash
# Stands for DevStack of the time of Mitaka: screen, a log with a summary beside it, and localrc.
# shellcheck source=/dev/null
source ./localrc
log=/opt/stack/devstack/log/stack.log
mkdir -p "${log%/*}"
exec > >(tee "$log") 2>&1
if screen -ls | grep -Eq "[0-9]\.stack"; then
  echo "You are already running a stack.sh session."
  exit 1
fi
if [[ ! -r lib/neutron_plugins/$Q_PLUGIN ]]; then
  echo "[ERROR] lib/neutron:1 no plugin $Q_PLUGIN"
  exit 1
fi
if [[ $HOST_IP == "$SERVICE_HOST" ]]; then
  screen -d -m -S stack python3 -m http.server --bind "$HOST_IP" 5000
  timeout 60 bash -c "until (exec 3<>/dev/tcp/$HOST_IP/5000) 2>/dev/null; do sleep 0.2; done"
elif ! (exec 3<>"/dev/tcp/$SERVICE_HOST/5000"); then
  echo "[ERROR] functions:1 keystone did not answer"
  exit 1
else
  screen -d -m -S stack sleep infinity
fi
if [[ -e /srv/broken/stack ]]; then
  echo "[ERROR] lib/nova:1 nova-api did not start"
  exit 1
fi
echo "stack.sh completed in 1 seconds." | tee "$log.summary"
