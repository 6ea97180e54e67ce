#!/bin/sh
# Starts containers as one would by hand, for `bench.up --as containers` to compare with. As root:
#
#   unshare --mount sh nspawn_by_hand.sh WORK DISK OFFSET TYPE BRIDGE ADDRESS=SEED...
#
# Runs until it is ended by SIGTERM, and leaves its mounts to the end of its mount namespace.
set -eu
work=$1 disk=$2 offset=$3 type=$4 bridge=$5
shift 5

end() {
    trap - TERM EXIT
    for name in $names; do
        # systemd-nspawn ends when its container's first process does.
        pkill -KILL -P "$(cat "$work/$name/pid")" || :
    done
    wait
    for name in $names; do
        ip netns delete "$name"
    done
    ip link delete "$bridge"
}

names=
trap 'end; exit 0' TERM
trap end EXIT
ip link add "$bridge" type bridge
ip addr add 172.31.251.1/24 dev "$bridge"
ip link set "$bridge" up
mkdir "$work/base"
mount -t "$type" -o "ro,loop,noload,offset=$offset" "$disk" "$work/base"
number=0
for pair; do
    name=slbench$number
    names="$names $name"
    number=$((number + 1))
    mkdir -p "$work/$name/up" "$work/$name/work" "$work/$name/root"
    mount -t overlay "$name" \
        -o "lowerdir=$work/base,upperdir=$work/$name/up,workdir=$work/$name/work" "$work/$name/root"
    ip netns add "$name"
    ip link add "$name" type veth peer name eth0 netns "$name"
    ip link set "$name" master "$bridge" up
    ip -n "$name" addr add "${pair%%=*}/24" dev eth0
    ip -n "$name" link set lo up
    ip -n "$name" link set eth0 up
    # Each in a cgroup of its own: two that share one kill each other's services.
    for root in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
        [ ! -e "$root/cgroup.procs" ] || mkdir -p "$root/$name"
    done
    (
        for root in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
            [ ! -e "$root/cgroup.procs" ] || echo 0 >"$root/$name/cgroup.procs"
        done
        exec env SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_API_VFS_WRITABLE=1 \
            systemd-nspawn --quiet --register=no --keep-unit --boot --directory="$work/$name/root" \
            --machine="$name" --network-namespace-path="/run/netns/$name" --capability=all \
            --bind-ro="${pair#*=}:/dev/vdb" --resolv-conf=off --timezone=off --link-journal=no \
            --notify-ready=no --console=read-only
    ) </dev/null >"$work/$name/log" 2>&1 &
    echo $! >"$work/$name/pid"
done
wait
