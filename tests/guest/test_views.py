"""What a customer in a view can learn of others, tried one by one; and other people's programs in a view."""

import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.linux.pam import auth_update
from tests.support.guest.machine import run, systemctl
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customer, Specs
from tests.support.waiting import wait_for

PRIVATE = {"processes": True, "tmp": True, "shm": True}


@pytest.fixture(scope="module")
def two(scene: tuple[Specs, Paas]) -> Iterator[tuple[Customer, Customer]]:
    """Customers whose logins pass the module; bob has something to be found."""
    spec, paas = scene
    alice, bob = (spec.sell(name, private=PRIVATE) for name in ("alice", "bob"))
    paas("reconcile")
    paas("pam", "install")
    try:
        yield alice, bob
    finally:
        paas("pam", "remove")
    assert not any("pam_paas_isolate" in Path(f"/etc/pam.d/{name}").read_text() for name in auth_update.STACKS)


def says(customer: Customer, script: str, *, seconds: float = 120) -> str:
    """What a shell of a login says, and complains."""
    line = ("su", "-", customer.name, "-c", script)
    done = subprocess.run(line, capture_output=True, text=True, timeout=seconds, cwd="/")
    return (done.stdout + done.stderr).strip()


@pytest.fixture(scope="module")
def bobs(two: tuple[Customer, Customer]) -> Iterator[str]:
    """A word that stands in whatever bob does, for as long as the test asks."""
    word = "bobs-secret-word"
    script = f"""
echo x >/tmp/{word}; echo x >/var/tmp/{word}; echo x >/dev/shm/{word}
exec -a {word} python3 -c 'import socket, time
held = [socket.socket(socket.AF_UNIX), socket.create_server(("127.0.0.1", 7077))]
held[0].bind("/tmp/{word}.socket"); print("ready", flush=True); time.sleep(1000)' {word}
"""
    line = ("su", "-", "-s", "/bin/bash", "bob", "-c", script)
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        assert program.stdout.readline() == "ready\n"
        yield word
        subprocess.run(["pkill", "-u", "bob"])
        program.wait()


CLOSED = {
    "ps": "ps axww",
    "top": "top -b -n 1 -c -w 500",
    "/proc": "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ /proc/[0-9]*/comm 2>&1 | tr '\\0' ' '",
    "names in /tmp": "ls -A /tmp /var/tmp /dev/shm",
    "systemctl status": "systemctl status --no-pager; systemctl list-units --no-pager",
    "loginctl": "loginctl list-sessions; loginctl list-users; ls /run/systemd/sessions /run/systemd/users",
    "D-Bus": "busctl list --no-pager; busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 "
    "org.freedesktop.systemd1.Manager GetUnitProcesses s paas-tree.service",
    "cgroup tree": "ls -R /sys/fs/cgroup; cat /sys/fs/cgroup/paas.slice/paas-tree.service/users/bob/memory.current",
    "journald": "journalctl --no-pager -n 200; ls /var/log/journal/*; cat /var/log/auth.log",
    "cron spool": "ls -R /var/spool/cron /var/spool/cron/crontabs; crontab -u bob -l; atq",
    "our configuration": "ls -R /etc/paas-isolate; cat /etc/paas-isolate/accounts.d/bob.yaml",
    "our state": "ls -R /var/lib/paas-isolate /run/paas-isolate/doors /run/paas-isolate/views",
    "nft": "/usr/sbin/nft list ruleset",
    "BPF pins": "ls -R /sys/fs/bpf",
    "who is there": "w; who; last",
}
"""What is closed, and how it is tried. In none of the answers stand bob's word, his name, or his pids."""


@pytest.mark.parametrize("name", CLOSED)
def test_it_is_closed(two: tuple[Customer, Customer], bobs: str, name: str) -> None:
    alice, _ = two
    pids = subprocess.run(["pgrep", "-u", "bob"], capture_output=True, text=True).stdout.split()
    assert pids
    told = says(alice, CLOSED[name])
    assert bobs not in told
    asked = told.replace("users/bob/", "").replace("accounts.d/bob", "").replace("bob's crontab", "")
    assert "bob" not in asked, told
    assert not set(pids) & set(told.split()), told
    assert told, "it was really asked"


def test_what_root_sees_the_words_would_find(two: tuple[Customer, Customer], bobs: str) -> None:
    """The same questions find bob where nothing is closed: the test above can fail."""
    found = {}
    for name in ("ps", "/proc", "cgroup tree", "systemctl status", "our configuration", "loginctl"):
        told = subprocess.run(["sh", "-c", CLOSED[name]], capture_output=True, text=True).stdout
        found[name] = bobs in told or "bob" in told
    found["loginctl"] = True  # pam_systemd is skipped for customers, view or not
    assert all(found.values()), found


def test_what_is_open_is_as_the_table_says(two: tuple[Customer, Customer], bobs: str) -> None:
    alice, _ = two
    assert "7077" in says(alice, "ss -ltn"), "one network namespace"
    assert bobs not in says(alice, "ss -ltnp"), "but not whose process it is"
    assert "bob" in says(alice, "cat /etc/passwd")
    assert "bob" in says(alice, "ls /home")


def test_the_host_has_two_mounts_more(two: tuple[Customer, Customer]) -> None:
    ours = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "paas-isolate" in line]
    assert len(ours) == 2


def test_doctor_names_who_is_in_a_group_that_sees_more(
    two: tuple[Customer, Customer], scene: tuple[Specs, Paas]
) -> None:
    _, paas = scene
    assert "alice" not in paas("doctor", code=None).out
    run("gpasswd", "--add", "alice", "systemd-journal")
    try:
        told = paas("doctor", code=None).out
        assert "gpasswd --delete alice systemd-journal" in " ".join(told.split())
    finally:
        run("gpasswd", "--delete", "alice", "systemd-journal")


def test_ssh_and_its_agent(two: tuple[Customer, Customer], tmp_path: Path) -> None:
    """sshd's own part of a session has made the agent's socket where the shell finds it; internal-sftp in a chroot."""
    alice, _ = two
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{tmp_path}/key")
    directory = alice.home / ".ssh"
    directory.mkdir(exist_ok=True)
    (directory / "authorized_keys").write_text((tmp_path / "key.pub").read_text())
    run("chown", "-R", f"{alice.uid}:{alice.gid}", str(directory))
    options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    asks = f"ssh-add -q {tmp_path}/key; ssh -A {options} -i {tmp_path}/key alice@127.0.0.1 'ssh-add -l; ps ax | wc -l'"
    told = subprocess.run(["ssh-agent", "sh", "-c", asks], capture_output=True, text=True).stdout.split("\n")
    assert "ED25519" in told[0]
    assert int(told[1]) < 10
    jail = Path("/srv/jail")
    jail.mkdir(mode=0o755, exist_ok=True)
    (jail / "inside").write_text("inside")
    config = tmp_path / "sshd_config"
    config.write_text(
        "Port 2023\nListenAddress 127.0.0.1\nUsePAM yes\nPidFile none\nSubsystem sftp internal-sftp\n"
        f"ChrootDirectory {jail}\nForceCommand internal-sftp\n"
    )
    with subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", str(config)]) as daemon:
        try:
            ask = f"echo ls | sftp -q -P 2023 {options} -i {tmp_path}/key -b - alice@127.0.0.1"
            wait_for(
                lambda: "inside" in subprocess.run(ask, shell=True, capture_output=True, text=True).stdout, what="sftp"
            )
        finally:
            daemon.terminate()
            daemon.wait()
            (jail / "inside").unlink()
            jail.rmdir()


PROGRAMS = {
    "node": (
        # libuv before 1.45 (Debian 12) knows no cgroup v2
        'node -e \'console.log(require("os").tmpdir(), '
        'process.versions.uv < "1.45" || process.constrainedMemory() > 0)\'',
        "/tmp true",
    ),
    "redis": (
        "redis-server --port 0 --unixsocket /tmp/redis.sock --save '' --daemonize yes >/dev/null; sleep 5; "
        "redis-cli -s /tmp/redis.sock set a b; redis-cli -s /tmp/redis.sock shutdown",
        "OK",
    ),
    "gcc": ("cd && echo 'int main(void){return 7;}' >a.c && gcc a.c -o a && ./a; echo $?", "7"),
    "git": (
        "cd && rm -rf r && git init -q r && cd r && "
        "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && git log --format=%s",
        "x",
    ),
    "crontab -e": (
        'printf \'#!/bin/sh\\nsleep 2; echo "# mine" >"$1"\\n\' >~/edit; chmod +x ~/edit; '
        "VISUAL= EDITOR=~/edit crontab -e; crontab -l; crontab -r",
        "# mine",
    ),
    "tmux, from a second session": ("tmux new-session -d -s one 'sleep 60'", ""),
    "screen, from a second session": ("screen -dmS two sleep 60", ""),
    "php": ('php -r \'echo sys_get_temp_dir(), is_file(tempnam("/tmp", "x"));\'', "/tmp1"),
    "mktemp": ("mktemp -d | cut -c1-5", "/tmp/"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_run_unchanged(two: tuple[Customer, Customer], name: str) -> None:
    alice, _ = two
    script, expected = PROGRAMS[name]
    assert expected in says(alice, script)
    if name.startswith("tmux"):
        assert "one" in says(alice, "tmux list-sessions; tmux kill-server")
    if name.startswith("screen"):
        assert ".two" in says(alice, "screen -ls; screen -S two -X quit")


def test_a_pool_of_php_fpm(two: tuple[Customer, Customer], tmp_path: Path) -> None:
    """Started by paas-enter, as the unit among the examples does."""
    alice, _ = two
    (program,) = Path("/usr/sbin").glob("php-fpm8*")
    pool = "[global]\nerror_log=/tmp/fpm.log\npid=/tmp/fpm.pid\ndaemonize=no\n"
    pool += "[www]\nlisten=/tmp/fpm.sock\npm=static\npm.max_children=1\n"
    (alice.home / "fpm.conf").write_text(pool)
    line = ("/usr/sbin/paas-enter", "alice/login", "--", str(program), "-n", "-y", f"{alice.home}/fpm.conf", "-F")
    with subprocess.Popen(line, stderr=subprocess.PIPE) as fpm:
        try:
            wait_for(lambda: says(alice, "test -S /tmp/fpm.sock && echo there") == "there", what="the pool listens")
        finally:
            subprocess.run(["pkill", "-u", "alice", "php-fpm"])
            fpm.wait()
    assert not Path("/tmp/fpm.sock").exists()


def test_a_client_of_postgres(two: tuple[Customer, Customer]) -> None:
    alice, _ = two
    version = next(Path("/etc/postgresql").iterdir()).name
    systemctl("start", f"postgresql@{version}-main")
    as_its_own = ("runuser", "-u", "postgres", "--", "psql", "--quiet", "--command")
    try:
        run(*as_its_own, "create role alice login")
        assert says(alice, "psql -d postgres -Atc 'select 6 * 7'") == "42"
        run(*as_its_own, "drop role alice")
    finally:
        systemctl("stop", f"postgresql@{version}-main")


def test_every_way_of_a_session_sees_the_same(two: tuple[Customer, Customer]) -> None:
    alice, bob = two
    says(alice, "echo alices >/tmp/whose")
    says(bob, "echo bobs >/tmp/whose")
    enter = ("/usr/sbin/paas-enter", "alice/other", "--", "cat", "/tmp/whose")
    ways = {
        "su": ("su", "alice", "-c", "cat /tmp/whose"),
        "sudo": ("sudo", "-u", "alice", "cat", "/tmp/whose"),
        "runuser -l": ("runuser", "-l", "alice", "-c", "cat /tmp/whose"),
        "paas-enter": enter,
        "a unit with PAMName=": (
            *("systemd-run", "--quiet", "--wait", "--pipe", "-p", "User=alice", "-p", "PAMName=login"),
            *("cat", "/tmp/whose"),
        ),
        "within bob's": ("su", "-", "bob", "-c", f"echo pass | su - alice -c {shlex.quote('cat /tmp/whose')}"),
    }
    run("sh", "-c", "echo alice:pass | chpasswd")
    found = {}
    for name, way in ways.items():
        found[name] = subprocess.run(way, capture_output=True, text=True, cwd="/").stdout.strip()
    kept = found.pop("runuser -l")  # passes no session of ours on Debian
    assert set(found.values()) == {"alices"}, found
    assert kept in ("", "alices")


def test_what_is_left_when_they_are_gone(scene: tuple[Specs, Paas], two: tuple[Customer, Customer]) -> None:
    spec, paas = scene
    mounts = len(Path("/proc/self/mountinfo").read_text().splitlines())
    subprocess.run(["pkill", "-KILL", "-u", "alice,bob"])
    for name in ("alice", "bob"):
        spec.withdraw(name)
    wait_for(lambda: paas("reconcile", "--remove", code=None).code == 0, what="they are gone")
    assert len(Path("/proc/self/mountinfo").read_text().splitlines()) == mounts - 2
    assert not Path("/run/paas-isolate/views").exists()
    assert list(Path("/var/lib/paas-isolate/private").iterdir()) == []
    assert paas("diff").out == "nothing differs\n"


def test_files_that_nobody_uses_go(spec: Specs, paas: Paas) -> None:
    spec.config(private={"age": "1s"})
    spec.sell("carol", private=PRIVATE)
    paas("reconcile")
    enter = ("/usr/sbin/paas-enter", "carol/login", "--", "sh", "-c")
    paas("exec", "carol/login", "--", "touch", "/tmp/old")
    assert Path("/var/lib/paas-isolate/private/carol/tmp/old").exists()
    time.sleep(1.5)  # the age at which files are removed
    run(*enter, "touch /tmp/new")
    run("systemd-tmpfiles", "--clean", "/run/tmpfiles.d/paas-isolate-private.conf")
    kept = [path.name for path in Path("/var/lib/paas-isolate/private/carol/tmp").iterdir()]
    assert "old" not in kept
    assert "new" in kept
