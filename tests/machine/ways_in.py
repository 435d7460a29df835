"""Two customers, one of them with a view of its own, and every way in that they have: tried where SELinux or AppArmor
is on."""

from testbed.guest import Guest

ACCOUNTS = ("plain", "viewed")
USERS = "/paas.slice/paas-tree.service/users"
LOOK = "cat /proc/self/cgroup; readlink /proc/self/ns/mnt; cat /proc/self/attr/current"

SCENE = """
set -eu
useradd --create-home --shell /bin/bash plain
useradd --create-home --shell /bin/bash viewed
echo 'account: plain' >/etc/paas-isolate/accounts.d/plain.yaml
cat >/etc/paas-isolate/accounts.d/viewed.yaml <<'END'
account: viewed
private: {processes: true, tmp: true, shm: true}
services:
  web: {run: exec sleep 100000}
  jobs: {entry: [cron, atd]}
END
echo 'network: {}' >>/etc/paas-isolate/config.yaml
paas-isolate enable daemon
paas-isolate reconcile --quiet --wait 60
paas-isolate pam install
"""

AT = f"""
for user in plain viewed; do
    su -l $user -c "echo '({LOOK}) >at.new 2>&1; mv at.new at' | at now" 2>&1
done
"""
CRON = f"""
for user in plain viewed; do
    echo '* * * * * ({LOOK}) >cron.new 2>&1; mv cron.new cron' | crontab -u $user -
done
"""
JOBS = """
for try in $(seq 150); do
    there=$(ls {files} 2>/dev/null | wc -l)
    [ "$there" -lt {number} ] || break
    sleep 1
done
crontab -r -u plain
crontab -r -u viewed
"""


def _lands(guest: Guest, account: str, leaf: str, said: str, context: str) -> None:
    """`said` is what LOOK printed: the leaf, the view where the account has one, and a label that begins so."""
    cgroup, namespace, label = said.splitlines()
    assert cgroup == f"0::{USERS}/{account}/{leaf}"
    host = guest.run(["readlink", "/proc/1/ns/mnt"], check=True).out.strip()
    assert (namespace != host) == (account == "viewed")
    assert label.startswith(context)


def by_ssh_and_su(guest: Guest, account: str, context: str) -> None:
    enter = ["paas-enter", f"{account}/login", "--", "sh", "-c", LOOK]
    _lands(guest, account, "login", guest.run(["sh", "-c", LOOK], user=account).out, context)
    _lands(guest, account, "login", guest.run(["su", "-l", account, "-c", LOOK]).out, context)
    _lands(guest, account, "login", guest.run(enter).out, context)
    assert f"account {account}" in guest.run(["paas-isolate", "me"], user=account).out


def by_job(guest: Guest, context: str, *, at: bool = True) -> None:
    """By cron, and by `at` as well."""
    ways = ("cron", "at") if at else ("cron",)
    files = [f"/home/{account}/{way}" for account in ACCOUNTS for way in ways]
    end = JOBS.format(files=" ".join(files), number=len(files))
    queued = guest.run(script=f"{CRON}{AT if at else ''}{end}", timeout=400)
    for account, leaf in (("plain", "login"), ("viewed", "jobs")):
        for way in ways:
            said = guest.run(["cat", f"/home/{account}/{way}"])
            assert said.code == 0, f"no job of {account} has run by {way}: {queued.out}{queued.err}"
            _lands(guest, account, leaf, said.out, context)


def by_service(guest: Guest) -> None:
    procs = f"/sys/fs/cgroup{USERS}/viewed/web/cgroup.procs"
    assert guest.run(script=f"ps -o comm= -p $(paste -sd, {procs})").out.split() == ["paas-run", "sleep"]
