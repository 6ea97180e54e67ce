#!/bin/bash
# What makes nova on rdo run containers, when Packstack icehouse is through: every step,
# each again as often as one likes.
# Rendered from labs/rdo-docker.yaml by localrc/packstack/docker-steps.sh.j2: edit those, not this.
# Run it as root: bash /opt/stack/packstack/docker-steps.sh [STEP...]; all of them without one. With the word
# check before a step it changes nothing, and ends with 0 where that step is done.
set -euo pipefail
registry_config=/etc/sysconfig/docker-registry
nova_config=/etc/nova/nova.conf
glance_config=/etc/glance/glance-api.conf
units=/usr/lib/systemd/system
overrides=/etc/systemd/system
inits=/etc/init.d
source=/opt/stack/nova
venv=/opt/stack/nova-venv
steps=(packages group docker redis registry options source venv filters database services restart)

has_systemd() { [ -d /run/systemd/system ]; }

runs() { if has_systemd; then systemctl -q is-active "$1"; else service "$1" status >/dev/null; fi; }

# at every boot, and now
enable() {
    if has_systemd; then systemctl enable "$1" && systemctl restart "$1"
    else chkconfig "$1" on && service "$1" restart; fi
}

is() { [ "$(crudini --get "$1" "$2" "$3" 2>/dev/null)" = "$4" ]; }

# -- programs: docker, its registry, redis; and what nova's requirements are compiled with
check_packages() { rpm -q crudini docker-registry redis git gcc python-virtualenv >/dev/null && command -v docker >/dev/null; }
do_packages() {
    yum -y install crudini redis docker-registry git gcc python-virtualenv python-devel \
        libxml2-devel libxslt-devel libffi-devel openssl-devel mysql-devel
    # Its name where docker is a tray for windows, and its name everywhere else.
    yum -y install docker-io || yum -y install docker
}

# -- nova talks to docker's socket, which is group docker's. -a: nova stays in its other groups.
check_group() { id -nG nova | tr ' ' '\n' | grep -qx docker; }
do_group() {
    getent group docker >/dev/null || groupadd -r docker
    usermod -a -G docker nova
}

check_docker() { runs docker && [ "$(stat -c %G /var/run/docker.sock)" = docker ]; }
do_docker() { enable docker; }

# the registry's cache
check_redis() { runs redis; }
do_redis() { enable redis; }

check_registry() { cmp -s /opt/stack/packstack/docker-registry "$registry_config" && runs docker-registry; }
do_registry() {
    install -m 0600 /opt/stack/packstack/docker-registry "$registry_config"
    enable docker-registry
}

# -- nova's driver, and images of docker's in glance
check_options() {
    is "$nova_config" DEFAULT compute_driver docker.DockerDriver &&
        is "$glance_config" DEFAULT container_formats ami,ari,aki,bare,ovf,docker
}
do_options() {
    crudini --set "$nova_config" DEFAULT compute_driver docker.DockerDriver
    crudini --set "$glance_config" DEFAULT container_formats ami,ari,aki,bare,ovf,docker
}

# -- nova from source, since RDO's has no docker driver that works
check_source() {
    [ "$(git -C "$source" config stacklab.ref 2>/dev/null)" = icehouse-eol ] && [ -e "$source/nova/virt/docker/driver.py" ]
}
do_source() {
    [ -d "$source/.git" ] || git clone https://opendev.org/openstack/nova "$source"
    git -C "$source" fetch origin icehouse-eol
    git -C "$source" checkout -q --detach FETCH_HEAD
    # The driver left nova just before this release: it is taken from its last commit.
    git -C "$source" checkout 556ab844c823dd364032d59ab1b61780243cbfd1 -- nova/virt/docker etc/nova/rootwrap.d/docker.filters
    git -C "$source" config stacklab.ref icehouse-eol
}

check_venv() {
    [ "$(cat "$venv/stacklab.ref" 2>/dev/null)" = icehouse-eol ] &&
        "$venv/bin/python" -c 'import MySQLdb, nova.virt.docker.driver' 2>/dev/null
}
do_venv() {
    [ -x "$venv/bin/python" ] || virtualenv --no-site-packages "$venv"
    "$venv/bin/pip" install -r "$source/requirements.txt" mysql-python 'oslo.i18n<1.6' 'oslo.serialization<1.5' 'oslo.utils<1.5' 'stevedore<1.4' 'posix_ipc<1.1' 'pyperclip<1.9' 'Tempita<0.6'
    # pbr would take the version from a tag, and an -eol is none.
    (cd "$source" && PBR_VERSION=2014.1.5 "$venv/bin/python" setup.py install)
    echo icehouse-eol > "$venv/stacklab.ref"
}

# What the driver does as root; rootwrap is RDO's own.
check_filters() { cmp -s "$source/etc/nova/rootwrap.d/docker.filters" /usr/share/nova/rootwrap/docker.filters; }
do_filters() { install -D -m 0644 "$source/etc/nova/rootwrap.d/docker.filters" /usr/share/nova/rootwrap/docker.filters; }

# -- the database follows the source
newest() { find "$source/nova/db/sqlalchemy/migrate_repo/versions" -name '[0-9][0-9][0-9]_*' -printf '%f\n' | sort | tail -n 1 | cut -c 1-3; }
manage() { su -s /bin/sh nova -c "'$venv/bin/nova-manage' db $1"; }
check_database() { [ "$(manage version | tail -n 1)" -ge "$((10#$(newest)))" ]; }
do_database() { manage sync; }

# -- every service of nova that the virtualenv has is started from there
# moved UNIT: that of RDO's, with the virtualenv's program
moved() { sed -n "s#^ExecStart=/usr/bin/nova-#ExecStart=$venv/bin/nova-#p" "$1"; }
check_services() {
    local file name
    for file in "$units"/openstack-nova-*.service; do
        [ -e "$file" ] || continue
        name=${file##*/openstack-}
        [ -x "$venv/bin/${name%.service}" ] || continue
        grep -qsxF "$(moved "$file")" "$overrides/${file##*/}.d/stacklab.conf" || return 1
    done
    ! grep -qs '^exec="/usr/bin/nova-' "$inits"/openstack-nova-*
}
do_services() {
    local file name
    for file in "$units"/openstack-nova-*.service; do
        [ -e "$file" ] || continue
        name=${file##*/openstack-}
        [ -x "$venv/bin/${name%.service}" ] || continue
        mkdir -p "$overrides/${file##*/}.d"
        # Empty first: otherwise there would be two programs.
        printf '%s\n' '[Service]' 'ExecStart=' "$(moved "$file")" > "$overrides/${file##*/}.d/stacklab.conf"
    done
    for file in "$inits"/openstack-nova-*; do
        [ ! -e "$file" ] || sed -i "s#^exec=\"/usr/bin/nova-#exec=\"$venv/bin/nova-#" "$file"
    done
    ! has_systemd || systemctl daemon-reload
}

# -- what runs takes all of that up
check_restart() {
    local file
    for file in "$venv/stacklab.ref" "$nova_config" "$glance_config" "$overrides"/openstack-nova-*.service.d/stacklab.conf; do
        [ ! -e "$file" ] || [ "$venv/restarted" -nt "$file" ] || return 1
    done
    pgrep -u nova -f "$venv/bin/nova-compute" >/dev/null
}
do_restart() {
    local name
    for name in openstack-glance-api openstack-nova-{conductor,api,cert,scheduler,network,compute}; do
        if has_systemd; then systemctl try-restart "$name"; else service "$name" condrestart; fi
    done
    touch "$venv/restarted"
}

mode=run
if [ "${1:-}" = check ]; then mode=check; shift; fi
[ $# -gt 0 ] || set -- "${steps[@]}"
for step; do
    case " ${steps[*]} " in *" $step "*) ;; *) echo "$0: no step $step; there are: ${steps[*]}" >&2; exit 2 ;; esac
    if "check_$step"; then continue; fi
    [ "$mode" = run ] || exit 1
    echo "== $step"
    "do_$step"
done
