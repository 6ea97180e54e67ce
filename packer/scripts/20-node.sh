# What makes a machine a node: its seed, its sshd, its ping, its swap.
files=/tmp/files

id stack >/dev/null 2>&1 || useradd -m -s /bin/bash stack
passwd -l stack >/dev/null
passwd -l root >/dev/null
echo 'stack ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/50-stack
chmod 0440 /etc/sudoers.d/50-stack
mkdir -p /opt/stack /var/lib/stacklab
chown stack:stack /opt/stack

install -m 0755 "$files/stacklab-seed" "$files/stacklab-late" /usr/local/sbin/
if [ -d /run/systemd/system ]; then
    install -m 0644 "$files/stacklab-seed.service" "$files/stacklab-late.service" /etc/systemd/system/
    systemctl -q enable stacklab-seed.service stacklab-late.service
else
    install -m 0644 "$files/stacklab-seed.conf" "$files/stacklab-late.conf" /etc/init/
fi

# No password opens a node, and root does not log in. First match wins in
# sshd_config, so these come first. DNS look-ups only make a login wait; so does the
# post-quantum key exchange, by a second of CPU per login under emulation, for secrets
# that a throw-away lab does not have.
sed -i -e '/^#stacklab$/,/^#stacklab end$/d' /etc/ssh/sshd_config
{
    echo '#stacklab'
    echo 'PasswordAuthentication no'
    echo 'ChallengeResponseAuthentication no'
    echo 'PermitRootLogin no'
    echo 'UseDNS no'
    echo 'KexAlgorithms curve25519-sha256@libssh.org,ecdh-sha2-nistp256'
    echo 'HostKey /etc/ssh/ssh_host_ed25519_key'
    echo '#stacklab end'
    cat /etc/ssh/sshd_config
} > /etc/ssh/sshd_config.new
cat /etc/ssh/sshd_config.new > /etc/ssh/sshd_config
rm /etc/ssh/sshd_config.new

# ping for every user: by socket where the kernel lets it, whatever the file's capabilities
mkdir -p /etc/sysctl.d
echo 'net.ipv4.ping_group_range = 0 2147483647' > /etc/sysctl.d/50-stacklab-ping.conf

# Room first: not every published image has filled its disk by now.
/usr/local/sbin/stacklab-late

# 1 GiB at most: more only hides that a node is too small, by making it crawl
if [ ! -f /swapfile ]; then
    fallocate -l 1G /swapfile || dd if=/dev/zero of=/swapfile bs=1M count=1024
    chmod 0600 /swapfile
    mkswap /swapfile >/dev/null
fi

# ttyS0 tells the host what happens; ttyS1 is a way in when the network is broken.
# Only who may open the domain's console on the host gets there.
if [ -d /run/systemd/system ]; then
    mkdir -p /etc/systemd/system/serial-getty@ttyS1.service.d
    {
        echo '[Service]'
        echo 'ExecStart='
        echo 'ExecStart=-/sbin/agetty --autologin stack --noclear --keep-baud 115200,38400,9600 %I linux'
        echo 'Type=idle'
    } > /etc/systemd/system/serial-getty@ttyS1.service.d/stacklab.conf
    systemctl -q enable serial-getty@ttyS1.service
fi
if [ -f /etc/default/grub ]; then
    grub=/etc/default/grub
    # read after it, so that it wins: cloud images set theirs in there
    [ -d /etc/default/grub.d ] && grub=/etc/default/grub.d/99-stacklab.cfg
    {
        echo 'GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0 net.ifnames=0 biosdevname=0 no_timer_check"'
        echo 'GRUB_TIMEOUT=0'
    } >> "$grub"
    if command -v update-grub >/dev/null 2>&1; then update-grub; else grub2-mkconfig -o /boot/grub2/grub.cfg; fi
fi
