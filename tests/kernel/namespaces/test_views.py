"""Views: what an account sees, how a view is repaired, and what is left when it is removed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.kernel.pam_session import ENTERS, REFUSED
from tests.support.kernel.view_host import LISTS, PRIVATE, ViewHost, lives

pytestmark = pytest.mark.kernel


def sees_all(view_host: ViewHost, name: str) -> bool:
    return "1" in view_host.python(name, LISTS.format(path="/proc"))


def test_a_customer_sees_its_own_processes_and_cgroup_alone(view_host: ViewHost) -> None:
    view_host.sell("alice", "bob")
    with view_host.starts("bob", "cat") as other:
        (pid,) = lives(view_host, view_host.bob)
        seen = [each for each in view_host.python("alice", LISTS.format(path="/proc")) if each.isdigit()]
        assert len(seen) == 1
        assert seen != [str(pid)]
        assert "No such" in view_host.asks("alice", f"ls -d /proc/{pid}")
        assert view_host.inside("ls", "-d", f"/proc/{pid}").returncode == 0
        other.communicate()
    root = view_host.host.cgroups.root
    assert view_host.python("alice", LISTS.format(path=root)) == ["users"]
    assert view_host.python("alice", LISTS.format(path=f"{root}/users")) == ["alice"]
    own = view_host.asks(
        "alice", f"cat {view_host.host.cgroups.mount}$(sed -n s/^0::// /proc/self/cgroup)/cgroup.procs"
    )
    assert own.split(), "its own is there, where /proc/self/cgroup says"
    assert "Read-only" in view_host.asks("alice", f"mkdir {root}/x") or "denied" in view_host.asks(
        "alice", f"mkdir {root}/x"
    )


def test_sessions_of_an_account_share_what_others_do_not_see(view_host: ViewHost) -> None:
    view_host.sell("alice", "bob")
    assert view_host.asks("alice", "for d in /tmp /var/tmp /dev/shm; do echo mine >$d/paas-test; done") == ""
    for directory in ("/tmp", "/var/tmp", "/dev/shm"):
        assert view_host.asks("alice", f"cat {directory}/paas-test") == "mine"
        assert view_host.python("bob", LISTS.format(path=directory)) == []
        assert not Path(directory, "paas-test").exists()
    assert (view_host.host.place / "private/alice/tmp/paas-test").stat().st_uid == view_host.alice


def test_what_is_hidden_has_nothing_in_it(view_host: ViewHost) -> None:
    (view_host.host.place / "secret/word").write_text("told")
    (view_host.host.place / "file").write_text("told")
    view_host.sell("alice", text=f"{PRIVATE}hide: [{view_host.host.place}/file]\n")
    assert "denied" in view_host.asks("alice", f"ls {view_host.host.place}/secret")
    assert "denied" in view_host.asks("alice", f"cat {view_host.host.place}/file")
    assert "told" not in view_host.asks("alice", f"cat {view_host.host.place}/secret/word {view_host.host.place}/file")
    assert view_host.inside("cat", f"{view_host.host.place}/secret/word").stdout == "told"
    assert "denied" in view_host.asks("alice", f"ls {view_host.run_directory}/doors")


def test_without_private_an_account_sees_the_hosts(view_host: ViewHost) -> None:
    view_host.sell("alice", "bob", text="")
    assert view_host.python("alice", "import json, os; print(os.stat('/proc/self/ns/mnt').st_ino)") == int(
        view_host.inside("stat", "-Lc", "%i", "/proc/self/ns/mnt").stdout
    )
    assert not (view_host.run_directory / "views").exists()


def test_each_part_of_private_works_alone(view_host: ViewHost) -> None:
    view_host.sell("alice", text="private: {tmp: true}\n")
    view_host.sell("bob", text="private: {processes: true}\n")
    assert sees_all(view_host, "alice")
    assert not sees_all(view_host, "bob")
    assert view_host.python("alice", LISTS.format(path="/tmp")) == []
    assert view_host.python("bob", LISTS.format(path="/tmp")) == sorted(os.listdir("/tmp"))


def test_thirty_accounts_are_two_mounts_of_the_host(view_host: ViewHost) -> None:
    before = view_host.mounts()
    for n in range(30):
        view_host.host.account(f"a{n}", f"users: [u{n}]\nlimits: {{memory: {{kill: process}}}}\n{PRIVATE}")
    assert view_host.paas("reconcile").count("make the view of") == 30
    assert len(view_host.mounts()) == len(before) + 2
    assert view_host.paas("reconcile").startswith("nothing to do")
    for n in range(30):
        (view_host.host.etc / f"accounts.d/a{n}.yaml").unlink()
    assert view_host.paas("reconcile", "--remove").count("remove the view of") == 30
    assert view_host.mounts() == before
    assert list((view_host.host.place / "private").iterdir()) == []


def test_what_the_host_mounts_later_is_there(view_host: ViewHost) -> None:
    view_host.sell("alice")
    later = view_host.host.place / "later"
    later.mkdir()
    assert view_host.inside("mount", "-t", "tmpfs", "later", str(later)).returncode == 0
    view_host.inside("touch", f"{later}/new")
    assert view_host.python("alice", LISTS.format(path=str(later))) == ["new"]
    assert view_host.inside("umount", str(later)).returncode == 0
    assert view_host.python("alice", LISTS.format(path=str(later))) == []


def unmounted_in_it(view_host: ViewHost) -> None:
    assert view_host.in_view("alice", "umount", "-l", "/tmp").returncode == 0


def handle_gone(view_host: ViewHost) -> None:
    keeper = f"{view_host.run_directory}/views/keeper"
    assert view_host.inside(
        "nsenter", f"--mount={keeper}", "/proc/self/fd/0", check=False
    ).returncode  # nothing to run there
    assert view_host.inside("umount", keeper).returncode == 0


def all_gone(view_host: ViewHost) -> None:
    assert view_host.inside("umount", "-l", f"{view_host.run_directory}/views").returncode == 0


def hidden_made_anew(view_host: ViewHost) -> None:
    secret = view_host.host.place / "secret"
    secret.rmdir()
    secret.mkdir()


def cgroup_made_anew(view_host: ViewHost) -> None:
    for path in ("users/alice/login", "users/alice/other", "users/alice"):
        view_host.host.cgroups.remove(path)


@pytest.mark.parametrize("breaks", [unmounted_in_it, handle_gone, all_gone, hidden_made_anew, cgroup_made_anew])
def test_an_incomplete_view_is_made_again(view_host: ViewHost, breaks: object) -> None:
    view_host.sell("alice")
    assert view_host.paas("diff") == "nothing differs\n"
    breaks(view_host)  # type: ignore[operator]
    told = view_host.paas("reconcile")
    assert "the view of alice" in told
    assert view_host.paas("diff") == "nothing differs\n"
    assert view_host.python("alice", LISTS.format(path="/tmp")) == []
    assert "denied" in view_host.asks("alice", f"ls {view_host.host.place}/secret")
    assert view_host.python("alice", LISTS.format(path=f"{view_host.host.cgroups.root}/users")) == ["alice"]


def test_what_is_to_be_hidden_and_comes_later_is_hidden(view_host: ViewHost) -> None:
    late = view_host.host.place / "late"
    view_host.sell("alice", text=f"{PRIVATE}hide: [{late}]\n")
    assert view_host.paas("diff") == "nothing differs\n"
    late.mkdir()
    view_host.paas("reconcile")
    assert "denied" in view_host.asks("alice", f"ls {late}")


@pytest.mark.hostile
def test_a_link_of_the_customers_hides_nothing_and_one_of_roots_does(view_host: ViewHost) -> None:
    """The path is harmless, and leads to what set-uid programs trust."""
    place = view_host.host.place
    (place / "trusted").mkdir()
    (place / "trusted/word").write_text("told")
    home = place / "home"
    home.mkdir()
    for name, uid in (("turned", view_host.alice), ("roots", 0)):
        (home / name).symlink_to("../trusted" if uid else place / "secret", target_is_directory=True)
        os.chown(home / name, uid, uid, follow_symlinks=False)
    (place / "secret/word").write_text("told")
    view_host.sell("alice", text=f"private: {{tmp: true}}\nhide: [{home}/turned, {home}/turned/word, {home}/roots]\n")
    assert view_host.asks("alice", f"cat {place}/trusted/word") == "told"
    assert "denied" in view_host.asks("alice", f"cat {place}/secret/word")
    assert view_host.paas("diff") == "nothing differs\n"  # and is not made anew by every run


def test_a_change_reaches_new_sessions_and_status_names_the_old(view_host: ViewHost) -> None:
    view_host.sell("alice", text="private: {tmp: true}\n")
    view_host.asks("alice", "echo kept >/tmp/kept")
    with view_host.starts("alice", "cat") as old:
        (pid,) = lives(view_host, view_host.alice)
        view_host.host.account("alice", f"limits: {{memory: {{kill: process}}}}\n{PRIVATE}")
        assert "change the view of alice" in view_host.paas("reconcile")
        assert not sees_all(view_host, "alice")
        assert view_host.asks("alice", "cat /tmp/kept") == "kept"
        assert f"processes that keep another view until they end: {pid}" in view_host.paas("status", "alice")
        old.communicate()
    assert "another view" not in view_host.paas("status", "alice")


def test_a_view_that_is_removed_keeps_its_files(view_host: ViewHost) -> None:
    before = view_host.mounts()
    view_host.sell("alice")
    view_host.asks("alice", "echo kept >/tmp/kept")
    view_host.sell("alice", text="")
    assert view_host.mounts() == before
    assert (view_host.host.place / "private/alice/tmp/kept").exists()
    assert sees_all(view_host, "alice")


def test_an_account_that_is_gone_leaves_nothing(view_host: ViewHost) -> None:
    before = view_host.mounts()
    view_host.sell("alice")
    view_host.asks("alice", "mkdir /tmp/a && ln -s /etc /tmp/a/link && echo >/dev/shm/x")
    (view_host.host.etc / "accounts.d/alice.yaml").unlink()
    with view_host.starts("alice", "cat") as left:
        lives(view_host, view_host.alice)
        view_host.paas("reconcile", code=4)
        assert (view_host.host.place / "private/alice").exists()
        left.communicate()
    view_host.paas("reconcile")
    assert view_host.mounts() == before
    assert not (view_host.host.place / "private/alice").exists()
    assert Path("/etc/passwd").exists()


NESTS = """
import os
os.chdir("/tmp")
for n in range({depth}):
    os.mkdir("d")
    os.chdir("d")
print(n)
"""


@pytest.mark.parametrize("depth", [1500, 20_000])
def test_directories_of_any_depth_go_with_the_account(view_host: ViewHost, depth: int) -> None:
    view_host.sell("alice", "bob")
    assert view_host.python("alice", NESTS.format(depth=depth)) == depth - 1
    (view_host.host.etc / "accounts.d/alice.yaml").unlink()
    assert "remove the view of alice" in view_host.paas("reconcile")
    assert os.listdir(view_host.host.place / "private") == ["bob"]


def test_files_that_cannot_be_removed_are_reported_until_they_are_gone(view_host: ViewHost) -> None:
    view_host.sell("alice", "bob", "carol")
    view_host.asks("alice", "mkdir /tmp/in")
    private = view_host.host.place / "private"
    assert view_host.inside("mount", "-t", "tmpfs", "other", f"{private}/alice/tmp/in").returncode == 0
    for name in ("alice", "carol"):
        (view_host.host.etc / f"accounts.d/{name}.yaml").unlink()
    for _ in range(2):
        told = view_host.paas("reconcile", code=None)
        assert "failed   remove the view of alice" in told
        assert "busy" in told
        assert "failed   remove the view of carol" not in told
        (left,) = set(os.listdir(private)) - {"bob"}
        assert left.startswith(".gone-alice-")
    assert view_host.inside("umount", f"{private}/{left}/tmp/in").returncode == 0
    assert "done     remove the view of alice" in view_host.paas("reconcile")
    assert os.listdir(private) == ["bob"]


def rebooted(view_host: ViewHost) -> None:
    all_gone(view_host)
    for door in (view_host.run_directory / "doors").iterdir():
        door.unlink()


def not_private(view_host: ViewHost) -> None:
    view_host.sell("alice", text="private: {shm: true}\n")


@pytest.mark.parametrize("before", [rebooted, not_private])
def test_another_customer_of_the_same_name_finds_no_files(
    view_host: ViewHost, before: Callable[[ViewHost], None]
) -> None:
    view_host.sell("alice", "bob")
    for name in ("alice", "bob"):
        view_host.asks(name, "echo kept >/tmp/kept")
    before(view_host)
    (view_host.host.etc / "accounts.d/alice.yaml").unlink()
    view_host.paas("reconcile")
    passwd = view_host.host.place / "passwd"
    passwd.write_text(passwd.read_text().replace(f":{view_host.alice}:", f":{view_host.alice + 98}:"))
    view_host.inside("sh", "-c", f"umount /etc/passwd && mount --bind {passwd} /etc/passwd")
    view_host.sell("alice")
    assert view_host.python("alice", "import os; print(os.getuid())") == view_host.alice + 98
    assert view_host.python("alice", LISTS.format(path="/tmp")) == []
    assert view_host.asks("bob", "cat /tmp/kept") == "kept"
    assert sorted(os.listdir(view_host.host.place / "private")) == ["alice", "bob"]


def whose(view_host: ViewHost, *names: str) -> None:
    for name in names:
        view_host.asks(name, f"echo {name} >/tmp/whose")


def test_a_login_enters_the_view(view_host: ViewHost) -> None:
    view_host.sell("alice", "bob")
    whose(view_host, "alice", "bob")
    for name in ("alice", "bob"):
        answer, said, cgroup, told = view_host.session(name)
        assert (int(answer), said, told) == (ENTERS, "", name)
        assert view_host.host.cgroups.path_of(cgroup) == f"users/{name}/login"


def test_su_to_another_customer_enters_that_customers_view(view_host: ViewHost) -> None:
    view_host.sell("alice")
    view_host.sell("bob", text="private: {tmp: true}\n")
    view_host.sell("carol", text="")
    whose(view_host, "alice", "bob")
    view_host.inside("sh", "-c", "echo host >/tmp/whose")
    try:
        for one in ("alice", "bob"):
            for other in ("alice", "bob", "carol"):
                told = view_host.in_view(one, *view_host.session_command(other)).stdout.splitlines()
                assert told[0] == str(ENTERS)
                assert told[3] == {"carol": "host"}.get(other, other)
                assert view_host.host.cgroups.path_of(told[2]) == f"users/{other}/login"
    finally:
        Path("/tmp/whose").unlink(missing_ok=True)


def no_handle(view_host: ViewHost) -> None:
    assert view_host.inside("umount", f"{view_host.run_directory}/views/keeper").returncode == 0


def a_customers_own(view_host: ViewHost) -> None:
    """A namespace that a customer has made, where the keeper's handle should be. One made on each CPU, for not all of
    them count as younger than the host's (`keeper.on_some_cpu`)."""
    own = ("unshare", "--user", "--mount", "--map-root-user", "sh", "-c", "echo; exec cat")
    makers = [view_host.starts("bob", "taskset", "--cpu-list", str(cpu), *own) for cpu in os.sched_getaffinity(0)]
    for maker in makers:
        assert maker.stdout and maker.stdout.readline()
    no_handle(view_host)
    keeper = f"{view_host.run_directory}/views/keeper"
    tried = [
        view_host.inside("mount", "--bind", f"/proc/{pid}/ns/mnt", keeper) for pid in view_host.pids(view_host.bob)
    ]
    for maker in makers:
        maker.communicate()
    assert any(done.returncode == 0 for done in tried), tried


def another_namespace(view_host: ViewHost) -> None:
    no_handle(view_host)
    keeper = f"{view_host.run_directory}/views/keeper"
    assert view_host.inside("mount", "--bind", "/proc/self/ns/uts", keeper).returncode == 0


def nonsense(view_host: ViewHost) -> None:
    door = view_host.run_directory / f"doors/{view_host.alice}:view"
    door.unlink()
    door.symlink_to("view/../etc")


def bobs_gone(view_host: ViewHost) -> None:
    door = view_host.run_directory / f"doors/{view_host.alice}:view"
    door.unlink()
    door.symlink_to("view/nobody")


def too_long(view_host: ViewHost) -> None:
    door = view_host.run_directory / f"doors/{view_host.alice}:view"
    door.unlink()
    door.symlink_to("view/" + "a" * 500)


def a_directory(view_host: ViewHost) -> None:
    door = view_host.run_directory / f"doors/{view_host.alice}:view"
    door.unlink()
    door.mkdir()


@pytest.mark.parametrize(
    "breaks", [no_handle, a_customers_own, another_namespace, nonsense, bobs_gone, too_long, a_directory]
)
def test_no_session_starts_without_its_view(view_host: ViewHost, breaks: object) -> None:
    view_host.sell("alice", "bob")
    breaks(view_host)  # type: ignore[operator]
    for options in ((), (f"penalty={view_host.host.cgroups.root}/penalty",)):
        answer, said, *_ = view_host.session("alice", *options)
        assert int(answer) == REFUSED
        assert "not possible" in said
    answer, said, *_ = view_host.session("alice", "on_failure=open")
    assert (int(answer), said) == (ENTERS, "")
    done = view_host.inside(*view_host.enter("alice", "echo", "it ran"))
    assert (done.returncode, done.stdout) == (125, "")
    assert "the view of the account cannot be entered" in done.stderr


def test_the_penalty_leaf_is_entered_in_the_view(view_host: ViewHost) -> None:
    view_host.sell("alice")
    whose(view_host, "alice")
    door = view_host.run_directory / f"doors/{view_host.alice}"
    door.unlink()
    door.symlink_to(f"{view_host.host.cgroups.root}/users/alice/nowhere")
    penalty = f"penalty={view_host.host.cgroups.root}/penalty"
    answer, _, cgroup, told = view_host.session("alice", penalty)
    assert (int(answer), view_host.host.cgroups.path_of(cgroup), told) == (ENTERS, "penalty", "alice")
    no_handle(view_host)
    assert int(view_host.session("alice", penalty)[0]) == REFUSED


@pytest.mark.parametrize("files", range(5, 9))
def test_few_descriptors_lead_out_of_no_view(view_host: ViewHost, files: int) -> None:
    """Three are open: with one more PAM cannot load a module."""
    view_host.sell("alice")
    view_host.sell("bob", text="private: {tmp: true}\n")
    whose(view_host, "alice", "bob")
    command = view_host.session_command("bob", f"penalty={view_host.host.cgroups.root}/penalty")
    few = ("sh", "-c", f'ulimit -Sn {files} && exec "$@"', "sh", *command)
    answer, _, cgroup, told = view_host.in_view("alice", *few).stdout.splitlines()
    assert (int(answer), view_host.host.cgroups.path_of(cgroup), told) == (ENTERS, "users/bob/login", "bob")
    limits = view_host.in_view("alice", *few[:-1], "/proc/self/limits").stdout
    assert f"Max open files            {files} " in limits, "it is as it was"


@pytest.mark.parametrize("files", range(5, 9))
def test_without_free_descriptors_no_session_starts_without_its_view(view_host: ViewHost, files: int) -> None:
    if os.path.exists("/dev/log"):  # syslog(3) would hold a descriptor more
        assert view_host.inside("mount", "--bind", "/dev/null", "/dev/log").returncode == 0
    view_host.sell("alice")
    view_host.sell("bob", text="private: {tmp: true}\n")
    whose(view_host, "alice", "bob")
    command = view_host.session_command("bob", f"penalty={view_host.host.cgroups.root}/penalty")
    powerless = "setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource"
    few = ("sh", "-c", f'ulimit -n {files} && exec {powerless} "$@"', "sh", *command)
    answer, said, _, *told = view_host.in_view("alice", *few).stdout.splitlines()
    if files < 6:
        assert (int(answer), told) == (REFUSED, [])
        assert "not possible" in said
    else:
        assert (int(answer), told) == (ENTERS, ["bob"])


def test_root_and_exempt_users_see_the_host(view_host: ViewHost) -> None:
    view_host.sell("alice")
    whose(view_host, "alice")
    for name, options in (("root", ()), ("alice", (f"exempt={view_host.alice}",))):
        told = view_host.session(name, *options)
        assert told[0] == str(ENTERS)
        assert told[3:] == []


def test_without_a_view_the_module_makes_one_system_call_more(view_host: ViewHost) -> None:
    """What a login pays for a view, in system calls: one link that is not there, and twenty-odd where it is."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    counts = {}
    for text in ("", PRIVATE):
        view_host.sell("alice", text=text)
        done = view_host.inside("strace", "-qq", *view_host.session_command("alice"))
        lines = done.stderr.splitlines()
        begin, end = (number for number, line in enumerate(lines) if line.startswith("getpgid("))
        counts[text] = [line for line in lines[begin:end] if ":view" in line or "setns(" in line]
    assert [line.partition("(")[0] for line in counts[""]] == ["readlink"]
    assert [line.partition("(")[0] for line in counts[PRIVATE]] == ["readlink", "setns", "setns"]
