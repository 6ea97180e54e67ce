#!/bin/sh
# Tries whether a directory can hold what containers write. Called as root by
# stacklab/doctor/containers/storage.py:
#
#   sh try_storage.sh DIRECTORY yes|no PYTHON
#
# `yes` is for privileged containers. It mounts as machine.sh does, where nobody else sees it, and
# writes a little. A directory that does not exist yet is not tried.
set -eu
umask 022
self=$(readlink -f "$0")
private=/run/systemd/nspawn

# In a trial's directory: what stands for the image is in `base`, what stands for our masks in `layer`.
prepare() {
    mkdir base layer upper work root
    : >base/old
}

# mount_overlay OPTIONS NODE: NODE is where the trial's directory is to be seen.
mount_overlay() {
    mount -t overlay stacklab-trial root \
        -o "${1}lowerdir=${2}layer:${2}base,upperdir=${2}upper,workdir=${2}work"
}

# As a node does: removes what the image has, and makes what is not root's.
write() {
    rm root/old
    : >root/new
    chown 1:1 root/new
}

try_as_unprivileged() {
    mkdir -p "$private"
    mount -t tmpfs tmpfs "$private"
    mkdir "$private/node" "$private/root"
    : >users
    "$1" -I -S "${self%/*}/user_namespace.py" stacklab-trial . "$private/node" >users &
    holder=$!
    while [ ! -s users ]; do
        kill -0 "$holder" 2>/dev/null || exit 1
        sleep 0.01
    done
    # Where the node's root can read it: the checkout may be closed to others.
    install -m 0644 "$self" "$private/try_storage.sh"
    nsenter --user="/proc/$holder/ns/user" unshare --mount --propagation private \
        sh "$private/try_storage.sh" --as-node "$private"
}

case $1 in
--inside)
    cd "$2"
    prepare
    if [ "$3" = yes ]; then
        mount_overlay redirect_dir=on, ''
        write
    else
        try_as_unprivileged "$4"
    fi
    ;;
--as-node)
    cd "$2"
    mount_overlay userxattr, node/
    write
    ;;
*)
    [ -d "$1" ] || exit 0
    # Of trials that were killed.
    find "$1" -maxdepth 1 -name '.trial-??????' -mmin +10 -exec rm -rf --one-file-system {} +
    trial=$(mktemp -d "$1/.trial-XXXXXX")
    trap 'rm -rf --one-file-system "$trial"' EXIT
    trap 'exit 1' HUP INT TERM
    # Whatever ends this, nothing is left that runs or is mounted.
    unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
        sh "$self" --inside "$trial" "$2" "$3"
    ;;
esac
