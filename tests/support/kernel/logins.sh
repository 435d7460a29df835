#!/bin/sh
# logins.sh PLACE UNPACKED COMMAND...: in a mount and a process namespace of its own, puts users, stacks, /run, /var/log,
# /home and /dev/log of PLACE over those of the machine, then becomes COMMAND. See logins.py.
set -eu
place=$1 unpacked=$2
shift 2
for file in passwd shadow group nsswitch.conf pam.d; do
    mount --bind "$place/etc/$file" "/etc/$file"
done

mkdir "$place/dev"
mount -t tmpfs -o mode=755 tmpfs "$place/dev"
for node in null zero full random urandom tty ptmx log; do
    : >"$place/dev/$node"
done
for node in null zero full random urandom tty ptmx; do
    mount --bind "/dev/$node" "$place/dev/$node"
done
mount --bind "$place/log" "$place/dev/log"
mkdir "$place/dev/pts" "$place/dev/shm"
mount --bind /dev/pts "$place/dev/pts"
mount -t tmpfs tmpfs "$place/dev/shm"
ln -s /proc/self/fd "$place/dev/fd"
mount --rbind "$place/dev" /dev

for directory in run var/log home; do
    mount -t tmpfs -o mode=755 tmpfs "/$directory"
done
mkdir -m 755 /run/sshd
cp "$place/authorized_keys" "$place/environment" /run/sshd
while IFS=: read -r _ _ uid gid _ home _; do
    case $home in /home/*) mkdir -m 700 "$home" && chown "$uid:$gid" "$home" ;; esac
done </etc/passwd

if [ "$unpacked" ]; then
    mount --bind "$unpacked/usr/lib/openssh" /usr/lib/openssh
fi
exec "$@"
