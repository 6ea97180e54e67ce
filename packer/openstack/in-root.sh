#!/bin/sh
# Run in the root by bake.sh: databases with all their tables, keystone's rows, the tenant's image.
# What does not depend on each other runs at the same time. Nothing is written to /etc.
set -eu
export LC_ALL=C.UTF-8
cd /bake
mkdir -m 0711 etc
mkdir logs
# What stevedore would keep of this root fits no other file system: it depends on directories' order.
mkdir -m 1777 home
# Of all users while this runs. Nobody learns it: nodes set passwords of their own.
password=$(head -c 24 /dev/urandom | base64 | tr -d '+/=\n')

# step NAME SECONDS USER COMMAND...: run a command as that user; of one that fails, the first
# one's last lines are kept for the end of the log.
step() {
    name=$1 limit=$2 user=$3
    shift 3
    begun=$(date +%s%N)
    code=0
    HOME=/bake/home timeout -k 5 "$limit" setpriv --reuid="$user" --regid="$user" --init-groups \
        "$@" > "logs/$name" 2>&1 < /dev/null || code=$?
    if [ "$code" != 0 ]; then
        [ "$code" != 124 ] || echo "it had no end after $limit s" >> "logs/$name"
        mkdir failed 2>/dev/null || return 1
        {
            echo "bake: step $name failed with exit code $code; it ends with:"
            tail -n 8 "logs/$name" | sed 's/^/bake:   /'
        } > failed/text
        return 1
    fi
    echo "bake: $name took $((($(date +%s%N) - begun) / 1000000)) ms"
}

# fail_if_failed: end the bake once a step has failed.
fail_if_failed() {
    [ -e failed ] || return 0
    cat failed/text
    exit 1
}

# configure USER: stdin is a configuration file that only this user can read
configure() {
    (umask 077; cat > "etc/$1.conf")
    chown "$1:" "etc/$1.conf"
}

# url USER DATABASE
url() {
    echo "mysql+pymysql://$1:$password@127.0.0.1:3306/$2?charset=utf8"
}

start_mariadb() {
    install -d -o mysql -g mysql /run/mysqld
    # No name is looked up, and nothing is waited for until it is on the disk.
    mariadbd --user=mysql --bind-address=127.0.0.1 --skip-name-resolve --skip-log-bin \
        --character-set-server=utf8mb3 --collation-server=utf8mb3_general_ci \
        --innodb-flush-method=nosync --innodb-flush-log-at-trx-commit=0 --sync-binlog=0 \
        --innodb-log-file-size=32M --max-connections=200 > logs/mariadb 2>&1 &
    mariadb=$!
    step mariadb-answers 60 root sh -c 'until mariadb-admin ping; do sleep 0.2; done' || {
        cat logs/mariadb
        fail_if_failed
    }
}

stop_mariadb() {
    step mariadb-stops 60 root mariadb-admin shutdown || fail_if_failed
    wait "$mariadb"
}

make_databases() {
    for database in keystone glance placement nova nova_api nova_cell0 neutron cinder; do
        user=${database%%_*}
        echo "CREATE DATABASE $database CHARACTER SET utf8mb3;"
        echo "CREATE USER IF NOT EXISTS '$user'@'%' IDENTIFIED BY '$password';"
        echo "GRANT ALL ON $database.* TO '$user'@'%';"
    done > etc/databases.sql
    step databases 60 root sh -c 'mariadb < etc/databases.sql' || fail_if_failed
}

keystone() {
    {
        printf '[database]\nconnection = %s\n' "$(url keystone keystone)"
        printf '[identity]\npassword_hash_rounds = 4\n[cache]\nenabled = false\n'
        # It wants a key, though it encrypts nothing here: each lab has keys of its own.
        printf '[fernet_tokens]\nkey_repository = /bake/keys\n'
        printf '[fernet_receipts]\nkey_repository = /bake/keys\n'
    } | configure keystone
    install -d -m 0700 keys
    head -c 32 /dev/urandom | base64 | tr '+/' '-_' > keys/0
    chown -R keystone: keys
    step keystone-tables 120 keystone keystone-manage --config-file etc/keystone.conf db_sync
    step keystone-rows 120 keystone python3 keystone-rows.py etc/keystone.conf
}

glance() {
    printf '[database]\nconnection = %s\n' "$(url glance glance)" | configure glance
    step glance-tables 120 glance glance-manage --config-file etc/glance.conf db_sync
}

placement() {
    printf '[placement_database]\nconnection = %s\n' "$(url placement placement)" | configure placement
    step placement-tables 120 placement placement-manage --config-file etc/placement.conf db sync
}

nova() {
    {
        printf '[database]\nconnection = %s\n' "$(url nova nova)"
        printf '[api_database]\nconnection = %s\n' "$(url nova nova_api)"
    } | configure nova
    step nova-api-tables 180 nova nova-manage --config-file etc/nova.conf api_db sync
    # What nova-manage's map_cell0 and create_cell would write. The URLs are templates, which nova
    # fills in from nova.conf: no password is kept in the database.
    server='{scheme}://{username}:{password}@{hostname}:{port}'
    cat > etc/cells.sql <<SQL
INSERT INTO cell_mappings (created_at, uuid, name, transport_url, database_connection, disabled) VALUES
(NOW(), '00000000-0000-0000-0000-000000000000', 'cell0', 'none:///', '$server/nova_cell0?{query}', 0),
(NOW(), UUID(), 'cell1', '$server/{path}?{query}', '$server/{path}?{query}', 0);
SQL
    step nova-cells 60 root sh -c 'mariadb nova_api < etc/cells.sql'
    step nova-tables 240 nova nova-manage --config-file etc/nova.conf db sync
}

neutron() {
    printf '[database]\nconnection = %s\n' "$(url neutron neutron)" | configure neutron
    step neutron-tables 180 neutron neutron-db-manage --config-file etc/neutron.conf upgrade heads
    # neutron's first start would write these one by one
    echo 'INSERT INTO ml2_geneve_allocations (geneve_vni, allocated) SELECT seq, 0 FROM seq_1_to_1000;' \
        > etc/geneve.sql
    step neutron-geneve 60 root sh -c 'mariadb neutron < etc/geneve.sql'
}

cinder() {
    printf '[database]\nconnection = %s\n' "$(url cinder cinder)" | configure cinder
    step cinder-tables 120 cinder cinder-manage --config-file etc/cinder.conf db sync
}

# What before.sh put off: on all CPUs, and without the services' own tests, which are a third.
compile_modules() {
    rm /etc/dpkg/dpkg.cfg.d/stacklab /usr/bin/py3compile
    dpkg-divert --local --quiet --rename --remove /usr/bin/py3compile
    step python-modules 300 root python3 -m compileall -q -j 0 -x '/tests/' /usr/lib/python3/dist-packages || fail_if_failed
}

# Debian's package has collected and compressed them when it was configured; without this list the
# dashboard shows an error in place of each page.
look_for_dashboards_files() {
    step dashboards-files 10 root test -s /var/lib/openstack-dashboard/static/dashboard/manifest.json || fail_if_failed
}

look_for_dashboards_files
compile_modules
start_mariadb
make_databases
# nova's is the longest, so it begins first
running=
for part in nova keystone neutron cinder glance placement; do
    $part &
    running="$running $!"
done
step tenant-image 60 root sh tenant.sh /usr/lib/stacklab/tenant &
running="$running $!"
for part in $running; do
    wait "$part" || :
done
fail_if_failed
stop_mariadb
step seal 60 root sh seal.sh || fail_if_failed
