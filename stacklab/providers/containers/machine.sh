#!/bin/sh
# Runs one node of a lab as a container. Called as root by stacklab/providers/containers/machines.py:
#
#   env DIR=... MACHINE=... sh machine.sh start NIC...
#
# All that runs of a node is in one cgroup, and all that it has on this host (mounts, network
# devices, namespaces) belongs to processes in it: killing the cgroup leaves nothing behind.
# Inside it are five: `keeper`, this script, which makes the mounts in a mount namespace of its own and
# starts the node again after a reboot; `console`, which writes what the node prints there; `users`, a
# process that holds the user namespace of a node that is not privileged; `net`, one that holds its
# network namespace, and nothing else; and `run`, systemd-nspawn and the node.
set -eu
# Not the caller's: what is made here is shown to the node, whose users are not root alone.
umask 022

self=$(readlink -f "$0")
# systemd-nspawn --keep-unit ends with this code when the node has rebooted.
rebooted=133
most_of_console=8388608 # bytes, from one start to the next
# A node that only reboots: so often, each time within so many seconds of its boot.
most_reboots=8
soon_s=10
# A node's services that have no work in a container, or would do it to the host: its devices (udev),
# its addresses (they are set here, from outside), its disk and swap, its second console.
masked="
systemd-udevd.service systemd-udev-trigger.service systemd-udev-settle.service
systemd-udevd-control.socket systemd-udevd-kernel.socket
systemd-networkd.service systemd-networkd.socket networking.service NetworkManager.service
systemd-modules-load.service systemd-timesyncd.service chrony.service
systemd-remount-fs.service systemd-hwdb-update.service systemd-journal-catalog-update.service
sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount sys-fs-fuse-connections.mount
stacklab-late.service serial-getty@ttyS0.service serial-getty@ttyS1.service console-getty.service
apparmor.service snapd.apparmor.service
"

# In the node's own mount namespace.
private=/run/systemd/nspawn

is_privileged() { [ "$IS_PRIVILEGED" = yes ]; }

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# --- cgroups

# Prints the root of each hierarchy: one with cgroup v2, one for each controller with v1.
cgroup_roots() {
    if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
        echo /sys/fs/cgroup
        return
    fi
    for root in /sys/fs/cgroup/*; do
        # A cpuset takes no process before it has CPUs of its own; nspawn sets the affinity instead.
        [ "${root##*/}" = cpuset ] && continue
        [ -L "$root" ] || [ ! -e "$root/cgroup.procs" ] || echo "$root"
    done
}

make_cgroups() {
    for root in $(cgroup_roots); do
        group=$root/stacklab/$MACHINE
        # First: another node's end removes an empty parent, and its controllers with it.
        mkdir -p "$group"
        if [ -e "$root/cgroup.controllers" ]; then
            for controller in memory cpu pids; do
                # A controller that v1 has is missing here.
                echo "+$controller" 2>/dev/null >"$root/cgroup.subtree_control" || continue
                echo "+$controller" 2>/dev/null >"$root/stacklab/cgroup.subtree_control" || continue
            done
        fi
        mkdir -p "$group/keeper" "$group/console" "$group/users" "$group/net" "$group/run"
        limit_memory "$group"
        # Of v1 and v2; with threads, and with those of the cgroups below.
        [ ! -e "$group/pids.max" ] || echo "$TASKS" >"$group/pids.max"
    done
}

# v1 counts the memory of the cgroups below only if it is told so.
limit_memory() {
    if [ -e "$1/memory.max" ]; then
        echo "$MEMORY" >"$1/memory.max"
    elif [ -e "$1/memory.limit_in_bytes" ]; then
        echo 1 2>/dev/null >"$1/memory.use_hierarchy" || :
        echo "$MEMORY" >"$1/memory.limit_in_bytes"
    fi
}

# enter GROUP: moves the process that calls it (0 is the one that writes).
enter() {
    for root in $(cgroup_roots); do
        echo 0 >"$root/stacklab/$MACHINE/$1/cgroup.procs"
    done
}

is_populated() { grep -qx 'populated 1' "$CGROUP/cgroup.events" 2>/dev/null; }

# end_group GROUP: ends its processes, and waits for that.
end_group() {
    for _ in $(seq 100); do
        grep -qx 'populated 1' "$CGROUP/$1/cgroup.events" || break
        [ ! -e "$CGROUP/$1/cgroup.kill" ] || echo 1 >"$CGROUP/$1/cgroup.kill"
        sleep 0.05
    done
}

# Ends every process of the node, at once.
# The kernel keeps a network namespace, and with it the links, while a TCP connection in there waits
# for a peer that is gone: minutes, where a cloud's nodes are all killed at once.
delete_links() {
    for path in /sys/class/net/"$MACHINE"-*; do
        [ ! -e "$path" ] || ip link delete "${path##*/}" 2>/dev/null || :
    done
}

kill_all() {
    if [ -d "$CGROUP" ]; then
        echo 0 2>/dev/null >"$CGROUP/cgroup.freeze" || :
        for _ in $(seq 200); do
            is_populated || break
            # Since Linux 5.14 the kernel does it, and no process can fork faster.
            if [ -e "$CGROUP/cgroup.kill" ]; then
                echo 1 >"$CGROUP/cgroup.kill"
            else
                # shellcheck disable=SC2046  # a list of processes
                kill -9 $(find "$CGROUP" -name cgroup.procs -exec cat {} +) 2>/dev/null || :
            fi
            sleep 0.05
        done
        ! is_populated || fail "processes of $MACHINE do not end: see $CGROUP"
    fi
    delete_links
    for root in $(cgroup_roots); do
        # A cgroup is busy until the kernel has tidied up behind its last process.
        for _ in $(seq 100); do
            [ -d "$root/stacklab/$MACHINE" ] || break
            find "$root/stacklab/$MACHINE" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.05
        done
        [ ! -d "$root/stacklab/$MACHINE" ] || fail "$root/stacklab/$MACHINE can't be removed"
        rmdir "$root/stacklab" 2>/dev/null || : # another node's is still in it
    done
}

# --- the network

in_network() { nsenter --net="/proc/$holder/ns/net" "$@"; }

# Whether a process has another network namespace than this host: NICs are made in no other.
is_elsewhere() {
    there=$(readlink "/proc/$1/ns/net" 2>/dev/null) && [ "$there" != "$(readlink /proc/self/ns/net)" ]
}

# make_network NIC...: each is END,BRIDGE,DEVICE,MAC,MTU,ADDRESS/PREFIX,GATEWAY.
make_network() {
    (
        enter net
        if is_privileged; then
            exec unshare --net sleep infinity >/dev/null 2>&1
        fi
        # The namespace's owner is the node's root, who may then change it.
        exec nsenter --user="/proc/$users/ns/user" unshare --net sleep infinity \
            >/dev/null 2>&1
    ) &
    holder=$!
    until is_elsewhere "$holder"; do
        kill -0 "$holder" 2>/dev/null || fail "$MACHINE has no network namespace"
        sleep 0.01
    done
    in_network ip link set lo up
    for nic; do
        make_nic "$nic"
    done
}

make_nic() {
    IFS=, read -r end bridge device mac mtu address gateway <<NIC
$1
NIC
    ip link delete "$end" 2>/dev/null || :
    # `lab.fault` took it away: it stays away when the node reboots.
    ! is_listed "$end" absent || return 0
    # The host's end has the MAC of the node's end with fe as its first byte, as libvirt's taps do.
    ip link add name "$end" address "fe:${mac#*:}" mtu "$mtu" \
        type veth peer name "$device" address "$mac" mtu "$mtu" netns "$holder"
    ip link set "$end" addrgenmode none master "$bridge"
    in_network ip link set "$device" addrgenmode none
    # What this host sends must have its checksum: an Open vSwitch in user space takes a packet whose
    # sum is left to the hardware, of which a veth pair has none, as damaged.
    ! command -v ethtool >/dev/null || ethtool -K "$end" tx off >/dev/null
    set_link_up "$end"
    in_network ip address add "$address" dev "$device"
    in_network ip link set "$device" up
    [ -z "$gateway" ] || in_network ip route replace default via "$gateway"
}

# A paused node has no links: it gets them when it goes on.
set_link_up() {
    is_listed "$1" without-cable || is_frozen || ip link set "$1" up
}

is_frozen() { [ "$(cat "$CGROUP/cgroup.freeze" 2>/dev/null)" = 1 ]; }

# Two lists of ends of NICs keep what `lab.fault` did over a reboot: `absent` and `without-cable`.
is_listed() { grep -qx "$1" "$DIR/$2" 2>/dev/null; }

list_end() { is_listed "$1" "$2" || echo "$1" >>"$DIR/$2"; }

forget_end() {
    [ ! -e "$DIR/$2" ] || sed -i "/^$1\$/d" "$DIR/$2"
}

plug() {
    forget_end "${1%%,*}" absent
    holder=''
    read -r holder <"$CGROUP/net/cgroup.procs" || :
    is_elsewhere "$holder" || fail "$MACHINE has no network at this moment: it boots, or is off"
    make_nic "$1"
}

thaw() {
    echo 0 >"$CGROUP/cgroup.freeze"
    set_all_links up
}

# set_all_links up|down: a NIC whose cable is pulled stays without it.
set_all_links() {
    for path in /sys/class/net/"$MACHINE"-*; do
        end=${path##*/}
        [ ! -e "$path" ] || is_listed "$end" without-cable || ip link set "$end" "$1"
    done
}

end_network() {
    kill "$holder" 2>/dev/null || :
    wait "$holder" 2>/dev/null || :
    for nic; do
        ip link delete "${nic%%,*}" 2>/dev/null || :
    done
}

# --- the node

make_directories() {
    [ -d "$DIR" ] || mkdir -m 0700 "$DIR"
    own 00700 "$DIR"
    for directory in base root upper work layer; do
        mkdir -p "$DIR/$directory"
        own 00755 "$DIR/$directory"
    done
}

# own MODE DIRECTORY: the pool gives what is made in it its group, which would be a group of the node.
# A mode of five digits takes that (setgid) away, too.
own() {
    chown root:root "$2"
    chmod "$1" "$2"
}

make_layer() {
    mkdir -p "$DIR/layer/etc/systemd/system"
    for unit in $masked; do
        ln -sf /dev/null "$DIR/layer/etc/systemd/system/$unit"
    done
    # Its file systems are mounted already.
    : >"$DIR/layer/etc/fstab"
    # As our images say, but with no group that an unprivileged node lacks.
    mkdir -p "$DIR/layer/etc/sysctl.d"
    echo 'net.ipv4.ping_group_range = 0 65535' >"$DIR/layer/etc/sysctl.d/zz-stacklab.conf"
    # Of many small processes that need too much memory together, a kernel spares its own process 1
    # alone: here the largest would be the node's, or systemd-nspawn, and the node would be off.
    mkdir -p "$DIR/layer/etc/systemd/system.conf.d"
    printf '[Manager]\nDefaultOOMScoreAdjust=200\n' \
        >"$DIR/layer/etc/systemd/system.conf.d/zz-stacklab.conf"
}

# One at a time: what a killed command of ours has started may still be at work.
lock() {
    while :; do
        exec 9>"$DIR.lock"
        flock --timeout 50 9 || fail "another start or end of $MACHINE is at work: fuser $DIR.lock"
        # A removal, behind which this waited, takes the file away: then nobody else sees this lock.
        locked=$(stat -L -c %d:%i /proc/self/fd/9)
        [ "$(stat -c %d:%i "$DIR.lock" 2>/dev/null)" != "$locked" ] || break
    done
}

start() {
    # A removal begins with it.
    if [ ! -e "$SEED" ]; then
        rm -f "$DIR.lock"
        fail "$MACHINE was removed meanwhile: $SEED is gone"
    fi
    # So does what gives it another disk: with that file.
    below=''
    [ ! -e "$DIR.below" ] || read -r below <"$DIR.below" || :
    [ "${LAYERS%% *}" = "$below" ] || fail "$MACHINE has got another disk meanwhile"
    kill_all
    make_cgroups
    make_directories
    make_layer
    # Root's own copy: the user who runs stacklab may have an id that is somebody on the node.
    install -m 0600 "$SEED" "$DIR/seed"
    said_before=$(stat -c %s -- "$CONSOLE" 2>/dev/null || echo 0)
    rm -f "$DIR/ready" "$DIR/absent" "$DIR/without-cable"
    # Sessions of their own: a Ctrl-C is for whoever called this.
    (
        enter keeper
        exec setsid unshare --mount --propagation private sh "$self" keep "$@"
    ) </dev/null 2>&1 9>&- | (
        enter console
        exec setsid sh "$self" write-console
    ) >>"$CONSOLE" 2>/dev/null 9>&- &
    # The writer, which ends after the keeper.
    keeper=$!
    # Until its mounts and its network are there, or can't be made.
    for _ in $(seq 1500); do
        [ -e "$DIR/ready" ] && return
        kill -0 "$keeper" 2>/dev/null || break
        sleep 0.02
    done
    [ -e "$DIR/ready" ] && return
    tail -c "+$((said_before + 1))" -- "$CONSOLE" | tail -n 5 >&2
    kill_all
    exit 1
}

# A node may write without end: what is too much is read and dropped.
write_console() {
    stdbuf --output=0 head --bytes="$most_of_console"
    [ "$(head --bytes=1 | wc --bytes)" -eq 1 ] || return 0
    printf '\nstacklab: no more than %s bytes of a console are kept from one start to the next\n' \
        "$most_of_console"
    exec cat >/dev/null
}

keep() {
    holder='' users=''
    cd "$DIR"
    mount -t "$BASE_TYPE" -o "ro,loop,offset=$BASE_OFFSET$BASE_OPTIONS" "$BASE" base
    # nspawn leaves directories in there.
    mkdir -p "$private"
    mount -t tmpfs -o mode=0777 tmpfs "$private"
    # An unprivileged node's root may not read the checkout: people keep theirs to themselves.
    install -m 0755 "$self" "$private/machine.sh"
    # A path without blanks and colons, which nspawn would take apart.
    : >"$private/seed"
    if is_privileged; then
        mount --bind seed "$private/seed"
        link_layers
        mount_root redirect_dir=on "$DIR/root"
    else
        make_users
    fi
    # However the keeper ends, but for SIGKILL: what it holds ends with it.
    trap end_holders EXIT
    reboots=0
    while :; do
        booted_at=$(uptime_s)
        make_network "$@"
        : >"$DIR/ready"
        code=0
        (
            enter run
            run
        ) || code=$?
        # If nspawn was killed, the node would go on without a network.
        end_group run
        end_network "$@"
        [ "$code" -eq "$rebooted" ] || break
        bound_reboots
    done
}

uptime_s() { cut -d. -f1 /proc/uptime; }

# Ends the keeper of a node that only reboots; people may reboot theirs twice without a delay.
bound_reboots() {
    reboots=$((reboots + 1))
    [ $(($(uptime_s) - booted_at)) -lt "$soon_s" ] || reboots=0
    [ "$reboots" -lt "$most_reboots" ] ||
        fail "stacklab: it rebooted $reboots times, each within $soon_s s: it stays off"
    [ "$reboots" -lt 3 ] || sleep 1
}

end_holders() {
    for process in $holder $users; do
        kill "$process" 2>/dev/null || :
    done
}

# --- its root: what it has written, above the disks that snapshots have frozen, above the image

# Shows a privileged node's directories under the names that `mount_root` uses.
link_layers() {
    ln -s "$DIR" "$private/node"
    ln -s "$DIR/base" "$private/base"
    number=0
    for layer in $LAYERS; do
        # shellcheck disable=SC2153  # it is handed in, as LAYERS is
        ln -s "$FROZEN/$layer/private/upper" "$private/$number"
        number=$((number + 1))
    done
}

# mount_root OPTION PLACE. Each name is short: for some versions of mount all of them together may
# have 256 characters. With redirect_dir, directories of the disks below can be renamed, as if the
# node had written them since; with userxattr the kernel does not allow that.
mount_root() (
    cd "$private"
    lower=node/layer:base number=0 frozen=''
    for _ in $LAYERS; do
        frozen=$frozen$number:
        number=$((number + 1))
    done
    mount -t overlay "$MACHINE" "$2" \
        -o "$1,lowerdir=$frozen$lower,upperdir=node/upper,workdir=node/work"
)

# set_aside LAYER: moves all that the node has written there, where root alone can look. The next
# start makes an empty disk. Repeated, it does nothing.
set_aside() {
    kill_all
    [ -d "$DIR/upper" ] || return 0
    # Else the move would be a copy, which takes long and can be cut short.
    [ "$(stat -c %d "$DIR")" = "$(stat -c %d "$1")" ] ||
        fail "$DIR and $1 are on different file systems"
    mkdir -p "$1/private"
    own 00700 "$1/private"
    mv -T "$DIR/upper" "$1/private/upper"
    rm -rf --one-file-system "$DIR/work"
    # A snapshot exists once its manifest does: its disks have to be there by then.
    sync -f "$1/private"
}

# take_back LAYER: undoes that, before the node has started again. Repeated, it does nothing.
take_back() {
    kill_all
    [ -d "$1/private/upper" ] || return 0
    rm -rf --one-file-system "$DIR/upper" "$DIR/work"
    mv -T "$1/private/upper" "$DIR/upper"
}

# Makes what an unprivileged node has instead: a user namespace, in which all of the rest is made.
# The directories are shown with its ids in a place that it can reach: $DIR is root's alone.
make_users() {
    mkdir "$private/base" "$private/node" "$private/root"
    set -- base "$private/base" . "$private/node" seed "$private/seed"
    number=0
    for layer in $LAYERS; do
        mkdir "$private/$number"
        set -- "$@" "$FROZEN/$layer/private/upper" "$private/$number"
        number=$((number + 1))
    done
    rm -f users
    (
        enter users
        exec "$PYTHON" -I -S "${self%/*}/user_namespace.py" "$MACHINE" "$@" >users
    ) &
    users=$!
    while [ ! -s users ]; do
        kill -0 "$users" 2>/dev/null || fail "$MACHINE has no user namespace"
        sleep 0.01
    done
    read -r first <users
    # What cgroup v2 calls delegation: the node makes groups below this one, its limits are above.
    chown "$first:$first" "$CGROUP/run" "$CGROUP/run/cgroup.procs" \
        "$CGROUP/run/cgroup.subtree_control" "$CGROUP/run/cgroup.threads"
}

# Started in the node's network namespace, nspawn mounts a /sys that shows the node's NICs.
run() {
    if is_privileged; then
        exec nsenter --net="/proc/$holder/ns/net" sh "$private/machine.sh" boot
    fi
    exec nsenter --user="/proc/$users/ns/user" --net="/proc/$holder/ns/net" \
        unshare --mount --propagation private sh "$private/machine.sh" boot
}

boot() {
    if is_privileged; then
        root=$DIR/root
        # All that is not the whole host's: its clock, its kernel's code.
        set -- --capability=all --drop-capability=CAP_SYS_TIME,CAP_SYS_MODULE \
            --system-call-filter='bpf perf_event_open'
    else
        root=$private/root
        mount_root userxattr "$root"
        # All over its own namespaces alone. The limits nspawn would ask the host's process 1 for.
        set -- --capability=CAP_NET_ADMIN --rlimit=NPROC=infinity --rlimit=SIGPENDING=infinity
    fi
    for device in $DEVICES; do
        [ ! -e "$device" ] || set -- "$@" "--bind=$device"
    done
    # On a host with cgroup v1, too, the node sees v2: newer systemds know nothing else.
    export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_API_VFS_WRITABLE=1 SYSTEMD_NSPAWN_LOCK=0
    exec systemd-nspawn --quiet --register=no --keep-unit --boot --directory="$root" \
        --machine="$MACHINE" --hostname="$HOST_NAME" --network-namespace-path=/proc/self/ns/net \
        --cpu-affinity="$CPUS" --bind-ro="$private/seed:/dev/vdb" "$@" \
        --resolv-conf=off --timezone=off --link-journal=no --notify-ready=no --console=read-only
}

# Logs in on the node without its network, as `virsh console` does for a VM.
login() {
    leader=''
    read -r leader <"$CGROUP/run/payload/init.scope/cgroup.procs" || :
    [ -n "$leader" ] || fail "the node does not run"
    # Without the caller's variables, which the node could read.
    exec env -i "TERM=${TERM-linux}" nsenter --target "$leader" --all /bin/su --login stack
}

# Asks the node to shut down, as its power button would.
stop() {
    [ -e "$CGROUP/run/supervisor/cgroup.procs" ] || return 0
    while read -r process; do
        kill -TERM "$process" 2>/dev/null || :
    done <"$CGROUP/run/supervisor/cgroup.procs"
}

action=$1
shift
case $action in
start | kill | remove | set-aside | take-back)
    lock
    ;;
esac
case $action in
start | keep) "$action" "$@" ;;
write-console) write_console ;;
boot) boot ;;
stop) stop ;;
kill) kill_all ;;
link-down)
    list_end "$1" without-cable
    ip link set "$1" down
    ;;
link-up)
    forget_end "$1" without-cable
    set_link_up "$1"
    ;;
unplug)
    list_end "$1" absent
    ip link delete "$1"
    ;;
plug) plug "$1" ;;
login) login ;;
freeze)
    # The kernel is not frozen, and would go on answering pings for the node.
    set_all_links down
    echo 1 >"$CGROUP/cgroup.freeze"
    ;;
thaw) [ ! -d "$CGROUP" ] || thaw ;;
set-aside) set_aside "$1" ;;
take-back) take_back "$1" ;;
remove)
    kill_all
    rm -rf --one-file-system "$DIR"
    rm -f "$DIR.below" "$DIR.lock"
    ;;
*) fail "machine.sh knows no $action" ;;
esac
