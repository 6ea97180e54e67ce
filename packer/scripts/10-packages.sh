# What every node promises, on whatever system this is. A bootstrapped image has
# it all already, and this costs nothing.

# cloud-init works on after sshd answers: it holds APT's lock, and writes what 30 and 90 remove
if [ -e /var/lib/cloud/instance ]; then
    for _ in $(seq 300); do
        [ -e /var/lib/cloud/instance/boot-finished ] && break
        sleep 1
    done
fi

missing=
for command in sudo python3 fping ip ping sshd tar; do
    command -v "$command" >/dev/null 2>&1 || missing="$missing $command"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
if command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    # Ubuntu's fping is in universe, which cloud images have enabled
    apt-get -q update
    apt-get -q -y install --no-install-recommends sudo python3 fping iproute2 iputils-ping openssh-server tar
else
    # EL: fping is in EPEL
    yum -y install sudo python3 iproute iputils openssh-server tar
    yum -y install fping || { yum -y install epel-release && yum -y install fping; }
fi
