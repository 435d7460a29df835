#!/bin/sh
# openssh.sh TESTS HELPERS DAEMON LIBRARIES SUDO USER NAME...: in a LoginHost, runs OpenSSH's own tests of these names as USER, and
# says how each ended. All that USER must be able to read lies in /home, which is its own.
set -eu
tests=$1 helpers=$2 daemon=$3 libraries=$4 sudo=$5 user=$6
shift 6
home=/home/$user
mkdir -p /home/bin
mount -t tmpfs -o mode=755 tmpfs /home/bin # set-uid programs work here
cp "$sudo" /home/bin/sudo
chmod 4755 /home/bin/sudo
if [ "$libraries" ]; then
    cp -a "$libraries" /home/openssh
    daemon=/home/openssh/${daemon#"$libraries"/}
    libraries=$(printf '%s:' /home/openssh/usr/lib/*-linux-gnu /home/openssh/lib/*-linux-gnu)
fi
printf '#!/bin/sh\nexport LD_LIBRARY_PATH=%s\nexec %s "$@"\n' "$libraries" "$daemon" >/home/bin/sshd
chmod 755 /home/bin/sshd
cp -a "$helpers" /home/helpers # those of the client, which may be hidden here by those of the server
cp -a "$tests" "$home/regress"
chown -R "$user:" "$home"
chmod 755 "$home"
export PATH="/home/bin:$PATH" HOME="$home" USER="$user" LOGNAME="$user" SUDO=sudo TEST_ENV='' TEST_SHELL=sh
export TEST_SSH_SSHD=/home/bin/sshd TEST_SSH_SSH=ssh TEST_SSH_SFTPSERVER=/usr/lib/openssh/sftp-server
export TEST_SSH_SK_HELPER=/home/helpers/ssh-sk-helper TEST_SSH_UNSAFE_PERMISSIONS=1 TEST_SSH_IPV6=yes TEST_SSH_ECC=yes BUILDDIR="$home/regress" OBJ="$home/regress"
cd "$home/regress"
for name in "$@"; do
    ended=0
    timeout 300 setpriv --reuid "$user" --regid "$user" --clear-groups sh ./test-exec.sh "$OBJ" "./$name.sh" \
        </dev/null >/dev/null 2>&1 || ended=$?
    echo "$name $ended"
done
