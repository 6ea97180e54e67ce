# A node boots ten times a day: leave out what a throw-away machine never needs.
# Under emulation each of these costs 0.3 to 4 s of a boot.
rm -f /etc/cron.daily/apt-compat /etc/cron.daily/man-db
# no message of the day, no look at a mailbox: both run at every login, commands too
[ -f /etc/pam.d/sshd ] && sed -i '/pam_motd/d;/pam_mail/d' /etc/pam.d/sshd
# Links made by hand: `systemctl mask` takes a second for each under emulation.
mkdir -p /etc/systemd/system
mask() {
    for unit in "$@"; do
        ln -sf /dev/null "/etc/systemd/system/$unit"
    done
}
mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
    dpkg-db-backup.timer man-db.timer systemd-networkd-wait-online.service unattended-upgrades.service \
    snapd.service snapd.socket snapd.seeded.service lxd-agent.service multipathd.service ModemManager.service \
    modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service modprobe@efi_pstore.service \
    modprobe@fuse.service modprobe@loop.service systemd-pstore.service getty@tty1.service \
    kdump.service dnf-makecache.timer systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-random-seed.service \
    systemd-network-generator.service
# Of 420 devices a boot needs udev to look at some 30: disks, NICs, the consoles, the
# power button (shutdown), the CPU (kvm). What is plugged in later comes as ever.
mkdir -p /etc/systemd/system/systemd-udev-trigger.service.d /etc/systemd/system-generators
cat > /etc/systemd/system/systemd-udev-trigger.service.d/stacklab.conf <<'UNIT'
[Service]
ExecStart=
ExecStart=-udevadm trigger --type=devices --action=add --prioritized-subsystem=block,net \
    --subsystem-match=block --subsystem-match=net --subsystem-match=virtio --subsystem-match=misc \
    --subsystem-match=input --subsystem-match=cpu
ExecStart=-udevadm trigger --type=devices --action=add --sysname-match=ttyS[01] \
    --sysname-match=LNXPWRBN:* --sysname-match=PNP0C0C:*
UNIT
for generator in cryptsetup gpt-auto hibernate-resume integritysetup veritysetup system-update; do
    ln -sf /dev/null "/etc/systemd/system-generators/systemd-$generator-generator"
done
# the seed disk has no netplan: what is left of it would take the NICs that the seed does not name
rm -f /etc/netplan/*.yaml
# cloud-init has done its work (it let Packer in); the seed disk does its later one
if [ -d /etc/cloud ]; then
    touch /etc/cloud/cloud-init.disabled
    rm -f /etc/network/interfaces.d/50-cloud-init* /etc/sudoers.d/90-cloud-init-users
    mask cloud-init-local.service cloud-init.service cloud-config.service cloud-final.service
    userdel -r -f ubuntu 2>/dev/null || userdel -r -f debian 2>/dev/null || true
fi
if [ -d /run/systemd/system ] && [ -e /lib/systemd/systemd-networkd ] && ! command -v nmcli >/dev/null 2>&1; then
    systemctl -q enable systemd-networkd.service
fi
