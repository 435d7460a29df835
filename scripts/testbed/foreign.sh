#!/bin/sh
# Runs a command for which programs of arm64 can be executed: foreign.sh QEMU COMMAND [ARGUMENT...]
# $1, a static qemu-aarch64, is registered in a user namespace that ends with the command: this machine has nothing
# registered (each has its own binfmt_misc since Linux 6.7). Users have their own numbers there, so that files belong to
# whom they should.
set -eu

# The 20 bytes that a program of arm64 begins with, and which of their bits count. F: qemu is opened now, and need not be
# in the tree; OC: setuid programs are such (Documentation/admin-guide/binfmt-misc.rst).
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'

case $1 in
--inside) # Nobody until there are numbers of users, and then root of the namespace by an exec.
    until [ "$(wc -l </proc/self/gid_map)" = 1 ]; do sleep 0.1; done
    shift
    exec sh "$0" --register "$@"
    ;;
--register)
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    printf '%s' ":qemu-aarch64:M::$magic:$mask:$2:FOC" >/proc/sys/fs/binfmt_misc/register
    shift 2
    exec "$@"
    ;;
esac

outside=$(readlink /proc/self/ns/user)
(
    until [ "$(readlink "/proc/$$/ns/user")" != "$outside" ]; do sleep 0.1; done
    for map in uid_map gid_map; do echo '0 0 65536' >"/proc/$$/$map"; done
) &
exec unshare --user --mount sh "$0" --inside "$@"
