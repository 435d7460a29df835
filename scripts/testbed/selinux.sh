#!/bin/sh
# Makes the Debian tree $1 one that starts in SELinux's enforcing mode, with the policy module $2 and a label on every
# file: both would take minutes in emulation.
set -eu
root=$1 module=$2

cp "$module" "$root/root/paas_isolate.cil"
chroot "$root" semodule --noreload --install=/root/paas_isolate.cil
rm "$root/root/paas_isolate.cil"
sed -i 's/^SELINUX=.*/SELINUX=enforcing/' "$root/etc/selinux/config"
# The policy of Debian 13 forbids atd to take a job away that a user has queued.
printf '(allow crond_t unconfined_cron_spool_t (file (write link unlink)))\n' >"$root/root/atd.cil"
chroot "$root" semodule --noreload --install=/root/atd.cil
rm "$root/root/atd.cil"
# Without what is mounted in the tree.
mount --bind "$root" "$root/mnt"
chroot "$root" setfiles -F -r /mnt /etc/selinux/default/contexts/files/file_contexts /mnt
umount "$root/mnt"
# No rule of the policy is about what is in this directory: it would stay without a label, and nobody could use at.
chroot "$root" chcon system_u:object_r:unconfined_cron_spool_t:s0 /var/spool/cron/atjobs/.SEQ
