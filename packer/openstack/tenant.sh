#!/bin/sh
# Makes the image of a tiny VM for tenants in the directory $1: vmlinuz is the node's own kernel,
# initrd.gz all that there is of a system: busybox, dropbear, and ../openstack/tenant-init.
set -eu
out=$1
root=$(mktemp -d)
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/run" "$root/var/log" \
    "$root/etc/dropbear" "$root/lib/modules" "$root/usr/share/udhcpc"
mkdir -p "$root/root/.ssh"

cp /bin/busybox "$root/bin/busybox"
for applet in $(/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
for program in /usr/sbin/dropbear /usr/bin/dropbearkey /usr/bin/dbclient; do
    cp "$program" "$root/bin/"
    ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$root/$(dirname "$library")"
        cp -Lu "$library" "$root/$library"
    done
done

kernel=$(basename "$(echo /lib/modules/*)")
number=10
# in the order in which they have to be loaded
for module in $(for name in virtio_pci virtio_net virtio_blk virtio_rng; do
    modprobe -S "$kernel" --show-depends "$name"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'); do
    cp "$module" "$root/lib/modules/$number-$(basename "$module")"
    number=$((number + 1))
done

install -m 0755 tenant-init "$root/init"
install -m 0755 tenant-udhcpc "$root/usr/share/udhcpc/default.script"
echo 'root:x:0:0:root:/root:/bin/sh' > "$root/etc/passwd"
echo 'root:*:19000:0:99999:7:::' > "$root/etc/shadow"
echo 'root:x:0:' > "$root/etc/group"
echo /bin/sh > "$root/etc/shells"

mkdir -p "$out"
(cd "$root" && find . | cpio -o -H newc --quiet -R 0:0) | gzip -9n > "$out/initrd.gz"
ln -f "/boot/vmlinuz-$kernel" "$out/vmlinuz"
rm -rf "$root"
