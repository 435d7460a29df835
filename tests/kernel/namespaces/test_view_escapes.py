"""Ways by which a customer might see the host's mounts again: each is tried, and none works."""

import pytest

from tests.support.kernel.view_host import LISTS, PRIVATE, PYTHON, ViewHost, lives

pytestmark = pytest.mark.kernel

HOST = """
import ctypes, json, os, socket, sys
tried = {}
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, work):
    try:
        tried[name] = "got in" if work() is None else "?"
    except OSError as error:
        tried[name] = error.strerror
def setns(path):
    if libc.setns(os.open(path, os.O_RDONLY), 0x20000):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def by_handle():
    handle = (ctypes.c_int * 34)(128)
    if libc.open_by_handle_at(os.open("/", os.O_RDONLY), handle, 0) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
"""


def stray(view_host: ViewHost) -> str:
    """A process of alice's that no login began."""
    drop = f"setpriv --reuid {view_host.alice} --regid {view_host.alice} --clear-groups"
    return view_host.inside("sh", "-c", f"{drop} sleep 60 >/dev/null 2>&1 & echo $!").stdout.strip()


@pytest.fixture
def sold(view_host: ViewHost) -> ViewHost:
    view_host.sell("alice", "bob")
    (view_host.host.place / "secret").chmod(0o755)
    return view_host


def test_user_namespaces_uncover_nothing(sold: ViewHost) -> None:
    """Mounts that were handed to a namespace of less rights are locked together (mount_namespaces(7))."""
    secret = sold.host.place / "secret"
    for umount in ("umount", "umount -l"):
        for at in ("/tmp", "/proc", str(secret), sold.host.cgroups.mount, sold.host.cgroups.root, "/dev/shm"):
            told = sold.asks("alice", f"unshare --user --map-root-user --mount {umount} {at}")
            assert "not" in told or "invalid" in told.lower() or "denied" in told, f"{umount} {at}: {told}"
    moved = f"mkdir -p /tmp/at; mount --move {secret} /tmp/at && echo moved"
    assert "moved" not in sold.asks("alice", f"unshare --user --map-root-user --mount sh -c '{moved}'").split()
    below = "mount --bind / /mnt && ls /mnt/proc /mnt/tmp"  # without what is mounted on it
    told = sold.asks("alice", f"unshare --user --map-root-user --mount sh -c '{below}'")
    assert "wrong fs type" in told or "denied" in told or "not permitted" in told, told


@pytest.mark.parametrize("more", ["", "--pid --fork", "--pid --fork --kill-child --mount-proc=/proc"])
def test_an_own_proc_shows_own_processes(sold: ViewHost, more: str) -> None:
    with sold.starts("bob", "cat") as other:
        (pid,) = lives(sold, sold.bob)
        look = f"mount -t proc proc /mnt; ls -d /mnt/{pid} /proc/{pid}/root /mnt/1/root/etc 2>&1; cat /proc/{pid}/stat"
        told = sold.asks("alice", f"unshare --user --map-root-user --mount {more} sh -c '{look}'")
        assert "(cat)" not in told
        assert f"\n/proc/{pid}" not in told
        other.communicate()


def test_an_own_cgroup_mount_shows_the_own_cgroup(sold: ViewHost) -> None:
    look = "mount -t cgroup2 none /mnt && find /mnt -name cgroup.procs | head"
    for more in ("", "--cgroup"):
        told = sold.asks("alice", f"unshare --user --map-root-user --mount {more} sh -c '{look}'")
        assert "bob" not in told
        assert "users" not in told


def test_no_namespace_of_another_can_be_entered(sold: ViewHost) -> None:
    """By the handles of the first process, of another customer, and of an own one that sees the host's."""
    pid = stray(sold)
    with sold.starts("bob", "cat") as other:
        (bobs,) = lives(sold, sold.bob)
        for target in ("1", str(bobs), pid):
            for enter in ("nsenter", "unshare --user --map-root-user nsenter"):
                told = sold.asks("alice", f"{enter} --target {target} --mount echo got in")
                assert "got in" not in told.splitlines(), f"{enter} {target}"
        other.communicate()
    sold.inside("kill", pid)


def test_a_handle_that_is_passed_opens_nothing(sold: ViewHost) -> None:
    """A process of the customer's own that sees the host's hands the handle of that over (unix(7), SCM_RIGHTS)."""
    home = sold.host.place / "alices"
    home.mkdir()
    home.chmod(0o777)
    gives = (
        "import os, socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); c, _ = s.accept();"
    )
    gives += "socket.send_fds(c, [b'x'], [os.open('/proc/self/ns/mnt', os.O_RDONLY)])"
    drop = f"setpriv --reuid {sold.alice} --regid {sold.alice} --clear-groups"
    sold.inside("sh", "-c", f'{drop} {" ".join(PYTHON)} "{gives}" {home}/socket >/dev/null 2>&1 &')
    takes = f"{HOST}\nimport time\n"
    takes += "s = socket.socket(socket.AF_UNIX)\n"
    takes += f"for _ in range(500):\n    try: s.connect('{home}/socket'); break\n    except OSError: time.sleep(0.01)\n"
    takes += "_, (fd,), *_ = socket.recv_fds(s, 1, 1)\n"
    takes += "attempt('plain', lambda: setns(f'/proc/self/fd/{fd}'))\n"
    takes += "libc.unshare(0x10000000)\nattempt('user', lambda: setns(f'/proc/self/fd/{fd}'))\nprint(json.dumps(tried))"
    assert set(sold.python("alice", takes).values()) == {"Operation not permitted"}


def test_programs_of_root_do_not_unmount(sold: ViewHost) -> None:
    for at in ("/tmp", "/proc", str(sold.host.place / "secret")):
        assert sold.asks("alice", f"umount {at}") != ""
        assert sold.asks("alice", f"umount -l {at}") != ""
    assert sold.python("alice", LISTS.format(path="/tmp")) == []
    program = sold.host.place / "private/alice/tmp/id"
    sold.inside("sh", "-c", f"cp /usr/bin/id {program} && chown root {program} && chmod 4755 {program}")
    assert "euid" not in sold.asks("alice", "/tmp/id"), "nosuid"


def test_no_handle_of_a_file_leads_out(sold: ViewHost) -> None:
    tries = f"{HOST}\nattempt('handle', by_handle)\nlibc.unshare(0x10000000)\nattempt('user', by_handle)\n"
    tries += "print(json.dumps(tried))"
    assert "got in" not in sold.python("alice", tries).values()


def test_a_process_that_sees_the_hosts_mounts_is_listed(sold: ViewHost) -> None:
    """What it sees, its customer can see by it (/proc/PID/root), for as long as it lives: so status tells of it. The
    next reconcile puts it into the account, and not into the view: no process can be put there from outside."""
    pid = stray(sold)
    sold.paas("reconcile")
    assert f"processes that keep another view until they end: {pid}" in sold.paas("status", "alice")
    assert "another view" not in sold.paas("status", "bob")
    sold.inside("kill", pid)


def test_a_shell_that_keeps_the_old_view_is_listed(view_host: ViewHost) -> None:
    view_host.sell("alice", text="")
    with view_host.starts("alice", "cat") as shell:
        (pid,) = lives(view_host, view_host.alice)
        view_host.sell("alice", text=PRIVATE)
        assert f"processes that keep another view until they end: {pid}" in view_host.paas("status", "alice")
        shell.communicate()
