"""Accounts at work on the machine while its packages change: what must not change meanwhile, and who watches it."""

from collections.abc import Iterator
from contextlib import contextmanager

from testbed import product
from testbed.guest import Guest

TREE = "/sys/fs/cgroup/paas.slice/paas-tree.service"
ALL = "paas-isolate-web libpam-paas-isolate paas-isolate"
PATIENCE = 1800.0
"""Seconds. It takes one in ten of them in emulation on a machine that does nothing else."""
APT = "DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get --yes --quiet --allow-downgrades"
INSTALL = f"{APT} install --reinstall"

_PEOPLE = r"""
set -eu
systemctl stop paas-isolate.timer
seq -f 'at%03g' {number} | sed 's|.*|&:x:::at work:/home/&:/bin/bash|' | newusers
for name in $(seq -f 'at%03g' {number}); do
    printf 'account: %s\nlimits: {{pids: 40, memory: 64M}}\n' "$name" >"/etc/paas-isolate/accounts.d/$name.yaml"
    setpriv --reuid "$name" --regid "$name" --clear-groups sleep 100000 </dev/null >/dev/null 2>&1 &
done
paas-isolate reconcile --quiet --wait 60
paas-isolate pam install >/dev/null
systemctl start paas-isolate-daemon.service
"""

WATCHED = f"""
limits() {{ cat {TREE}/users/at*/{{memory,pids,cpu}}.max | sort | uniq -c; }}
tree() {{ systemctl show --property=MainPID --value paas-tree.service; }}
customers() {{ pgrep -f '^sleep 100000' | sort | tr '\\n' ' '; }}
"""

# A login, and a look at every account's limits, again and again until there is /run/watch/over; what is seen goes to
# /run/watch/seen.
WATCH = f"""
{WATCHED}
mkdir -p /run/watch
rm -f /run/watch/*
limits >/run/watch/before
echo "$(tree) $(customers)" >/run/watch/alive
(
    until [ -e /run/watch/over ]; do
        su -l at001 -c 'cat /proc/self/cgroup' 2>&1
        limits >/run/watch/now
        cmp -s /run/watch/now /run/watch/before || echo 'a limit has changed'
        sleep 0.5 # a login takes as long in emulation, from apt
    done >/run/watch/seen
    touch /run/watch/ended
) </dev/null >/dev/null 2>&1 &
"""

FAILED = "{ touch /run/watch/over; cat /run/apt; exit 1; }"

SEEN = f"""
{WATCHED}
touch /run/watch/over
until [ -e /run/watch/ended ]; do sleep 0.1; done
[ "$(tree) $(customers)" = "$(cat /run/watch/alive)" ] || echo 'a process has ended'
sort /run/watch/seen | uniq -c
"""

_GONE = r"""
touch /run/watch/over
systemctl stop paas-isolate.timer paas-isolate-daemon.service 2>/dev/null
pkill -f '^sleep 100000'
rm -rf /etc/paas-isolate/accounts.d/at*.yaml
for name in $(seq -f 'at%03g' {number}); do userdel --force --remove "$name" 2>/dev/null; done
[ ! -e /usr/bin/paas-isolate ] || paas-isolate reconcile --quiet --remove --wait 60
true
"""


@contextmanager
def accounts(guest: Guest, number: int) -> Iterator[Guest]:
    """So many accounts at001, at002, ... with one process each; logins pass the PAM module and the daemon runs."""
    guest.run(script=_PEOPLE.format(number=number), check=True)
    try:
        yield guest
    finally:
        guest.run(script=_GONE.format(number=number))


def installed(guest: Guest) -> None:
    """As a guest is after its start."""
    install = f"{product.TREE}/scripts/install --web --packages {product.PACKAGES}"
    guest.run(script=f"[ -e /usr/bin/paas-isolate ] || {install}; paas-isolate enable timer >/dev/null", check=True)


def apt(guest: Guest, *words: str, code: int = 0, timeout: float = PATIENCE) -> str:
    done = guest.run(script=f"{APT} {' '.join(words)} 2>&1", timeout=timeout)
    assert done.code == code, done.out
    return done.out


def unnoticed(said: str, *, logins: int) -> list[str]:
    """Asserts that no login, limit or process suffered, from the output of SEEN. The lines after it."""
    lines = said.splitlines()
    seen = [line.split(maxsplit=1) for line in lines if line[:1] == " "]
    assert [text for _, text in seen] == [f"0::{TREE.removeprefix('/sys/fs/cgroup')}/users/at001/login"]
    assert int(seen[0][0]) >= logins
    return [line for line in lines if line[:1] != " "]
