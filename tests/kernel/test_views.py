"""Views: what an account sees, that it stays so, and what is left when it is gone."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pam_session import ENTERS, REFUSED
from view_stage import LISTS, PRIVATE, Sight, lives

pytestmark = pytest.mark.kernel


def sees_all(sight: Sight, name: str) -> bool:
    return "1" in sight.python(name, LISTS.format(path="/proc"))


def test_a_customer_sees_its_own_processes_and_cgroup_alone(sight: Sight) -> None:
    sight.sell("alice", "bob")
    with sight.starts("bob", "cat") as other:
        (pid,) = lives(sight, sight.bob)
        seen = [each for each in sight.python("alice", LISTS.format(path="/proc")) if each.isdigit()]
        assert len(seen) == 1
        assert seen != [str(pid)]
        assert "No such" in sight.asks("alice", f"ls -d /proc/{pid}")
        assert sight.inside("ls", "-d", f"/proc/{pid}").returncode == 0
        other.communicate()
    root = sight.shop.cgroups.root
    assert sight.python("alice", LISTS.format(path=root)) == ["users"]
    assert sight.python("alice", LISTS.format(path=f"{root}/users")) == ["alice"]
    own = sight.asks("alice", f"cat {sight.shop.cgroups.mount}$(sed -n s/^0::// /proc/self/cgroup)/cgroup.procs")
    assert own.split(), "its own is there, where /proc/self/cgroup says"
    assert "Read-only" in sight.asks("alice", f"mkdir {root}/x") or "denied" in sight.asks("alice", f"mkdir {root}/x")


def test_sessions_of_an_account_share_what_others_do_not_see(sight: Sight) -> None:
    sight.sell("alice", "bob")
    assert sight.asks("alice", "for d in /tmp /var/tmp /dev/shm; do echo mine >$d/paas-test; done") == ""
    for directory in ("/tmp", "/var/tmp", "/dev/shm"):
        assert sight.asks("alice", f"cat {directory}/paas-test") == "mine"
        assert sight.python("bob", LISTS.format(path=directory)) == []
        assert not Path(directory, "paas-test").exists()
    assert (sight.shop.place / "private/alice/tmp/paas-test").stat().st_uid == sight.alice


def test_what_is_hidden_has_nothing_in_it(sight: Sight) -> None:
    (sight.shop.place / "secret/word").write_text("told")
    (sight.shop.place / "file").write_text("told")
    sight.sell("alice", text=f"{PRIVATE}hide: [{sight.shop.place}/file]\n")
    assert "denied" in sight.asks("alice", f"ls {sight.shop.place}/secret")
    assert "denied" in sight.asks("alice", f"cat {sight.shop.place}/file")
    assert "told" not in sight.asks("alice", f"cat {sight.shop.place}/secret/word {sight.shop.place}/file")
    assert sight.inside("cat", f"{sight.shop.place}/secret/word").stdout == "told"
    assert "denied" in sight.asks("alice", f"ls {sight.run_directory}/doors")


def test_without_private_it_is_the_hosts(sight: Sight) -> None:
    sight.sell("alice", "bob", text="")
    assert sight.python("alice", "import json, os; print(os.stat('/proc/self/ns/mnt').st_ino)") == int(
        sight.inside("stat", "-Lc", "%i", "/proc/self/ns/mnt").stdout
    )
    assert not (sight.run_directory / "views").exists()


def test_each_part_alone(sight: Sight) -> None:
    sight.sell("alice", text="private: {tmp: true}\n")
    sight.sell("bob", text="private: {processes: true}\n")
    assert sees_all(sight, "alice")
    assert not sees_all(sight, "bob")
    assert sight.python("alice", LISTS.format(path="/tmp")) == []
    assert sight.python("bob", LISTS.format(path="/tmp")) == sorted(os.listdir("/tmp"))


def test_thirty_accounts_are_two_mounts_of_the_host(sight: Sight) -> None:
    before = sight.mounts()
    for n in range(30):
        sight.shop.account(f"a{n}", f"users: [u{n}]\nlimits: {{memory: {{kill: process}}}}\n{PRIVATE}")
    assert sight.paas("reconcile").count("make the view of") == 30
    assert len(sight.mounts()) == len(before) + 2
    assert sight.paas("reconcile").startswith("nothing to do")
    for n in range(30):
        (sight.shop.etc / f"accounts.d/a{n}.yaml").unlink()
    assert sight.paas("reconcile", "--remove").count("remove the view of") == 30
    assert sight.mounts() == before
    assert list((sight.shop.place / "private").iterdir()) == []


def test_what_the_host_mounts_later_is_there(sight: Sight) -> None:
    sight.sell("alice")
    later = sight.shop.place / "later"
    later.mkdir()
    assert sight.inside("mount", "-t", "tmpfs", "later", str(later)).returncode == 0
    sight.inside("touch", f"{later}/new")
    assert sight.python("alice", LISTS.format(path=str(later))) == ["new"]
    assert sight.inside("umount", str(later)).returncode == 0
    assert sight.python("alice", LISTS.format(path=str(later))) == []


def unmounted_in_it(sight: Sight) -> None:
    assert sight.in_view("alice", "umount", "-l", "/tmp").returncode == 0


def handle_gone(sight: Sight) -> None:
    keeper = f"{sight.run_directory}/views/keeper"
    assert sight.inside(
        "nsenter", f"--mount={keeper}", "/proc/self/fd/0", check=False
    ).returncode  # nothing to run there
    assert sight.inside("umount", keeper).returncode == 0


def all_gone(sight: Sight) -> None:
    assert sight.inside("umount", "-l", f"{sight.run_directory}/views").returncode == 0


def hidden_made_anew(sight: Sight) -> None:
    secret = sight.shop.place / "secret"
    secret.rmdir()
    secret.mkdir()


def cgroup_made_anew(sight: Sight) -> None:
    for path in ("users/alice/login", "users/alice/other", "users/alice"):
        sight.shop.cgroups.remove(path)


@pytest.mark.parametrize("breaks", [unmounted_in_it, handle_gone, all_gone, hidden_made_anew, cgroup_made_anew])
def test_a_view_that_is_not_whole_is_made_again(sight: Sight, breaks: object) -> None:
    sight.sell("alice")
    assert sight.paas("diff") == "nothing differs\n"
    breaks(sight)  # type: ignore[operator]
    told = sight.paas("reconcile")
    assert "the view of alice" in told
    assert sight.paas("diff") == "nothing differs\n"
    assert sight.python("alice", LISTS.format(path="/tmp")) == []
    assert "denied" in sight.asks("alice", f"ls {sight.shop.place}/secret")
    assert sight.python("alice", LISTS.format(path=f"{sight.shop.cgroups.root}/users")) == ["alice"]


def test_what_is_to_be_hidden_and_comes_later_is_hidden(sight: Sight) -> None:
    late = sight.shop.place / "late"
    sight.sell("alice", text=f"{PRIVATE}hide: [{late}]\n")
    assert sight.paas("diff") == "nothing differs\n"
    late.mkdir()
    sight.paas("reconcile")
    assert "denied" in sight.asks("alice", f"ls {late}")


@pytest.mark.hostile
def test_a_link_of_the_customers_hides_nothing_and_one_of_roots_does(sight: Sight) -> None:
    """The path is harmless, and leads to what set-uid programs trust."""
    place = sight.shop.place
    (place / "trusted").mkdir()
    (place / "trusted/word").write_text("told")
    home = place / "home"
    home.mkdir()
    for name, uid in (("turned", sight.alice), ("roots", 0)):
        (home / name).symlink_to("../trusted" if uid else place / "secret", target_is_directory=True)
        os.chown(home / name, uid, uid, follow_symlinks=False)
    (place / "secret/word").write_text("told")
    sight.sell("alice", text=f"private: {{tmp: true}}\nhide: [{home}/turned, {home}/turned/word, {home}/roots]\n")
    assert sight.asks("alice", f"cat {place}/trusted/word") == "told"
    assert "denied" in sight.asks("alice", f"cat {place}/secret/word")
    assert sight.paas("diff") == "nothing differs\n"  # and is not made anew by every run


def test_a_change_reaches_new_sessions_and_status_names_the_old(sight: Sight) -> None:
    sight.sell("alice", text="private: {tmp: true}\n")
    sight.asks("alice", "echo kept >/tmp/kept")
    with sight.starts("alice", "cat") as old:
        (pid,) = lives(sight, sight.alice)
        sight.shop.account("alice", f"limits: {{memory: {{kill: process}}}}\n{PRIVATE}")
        assert "change the view of alice" in sight.paas("reconcile")
        assert not sees_all(sight, "alice")
        assert sight.asks("alice", "cat /tmp/kept") == "kept"
        assert f"processes that keep another view until they end: {pid}" in sight.paas("status", "alice")
        old.communicate()
    assert "another view" not in sight.paas("status", "alice")


def test_a_view_that_is_sold_no_more_leaves_its_files(sight: Sight) -> None:
    before = sight.mounts()
    sight.sell("alice")
    sight.asks("alice", "echo kept >/tmp/kept")
    sight.sell("alice", text="")
    assert sight.mounts() == before
    assert (sight.shop.place / "private/alice/tmp/kept").exists()
    assert sees_all(sight, "alice")


def test_an_account_that_is_gone_leaves_nothing(sight: Sight) -> None:
    before = sight.mounts()
    sight.sell("alice")
    sight.asks("alice", "mkdir /tmp/a && ln -s /etc /tmp/a/link && echo >/dev/shm/x")
    (sight.shop.etc / "accounts.d/alice.yaml").unlink()
    with sight.starts("alice", "cat") as left:
        lives(sight, sight.alice)
        sight.paas("reconcile", code=4)
        assert (sight.shop.place / "private/alice").exists()
        left.communicate()
    sight.paas("reconcile")
    assert sight.mounts() == before
    assert not (sight.shop.place / "private/alice").exists()
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
def test_directories_of_any_depth_go_with_the_account(sight: Sight, depth: int) -> None:
    sight.sell("alice", "bob")
    assert sight.python("alice", NESTS.format(depth=depth)) == depth - 1
    (sight.shop.etc / "accounts.d/alice.yaml").unlink()
    assert "remove the view of alice" in sight.paas("reconcile")
    assert os.listdir(sight.shop.place / "private") == ["bob"]


def test_files_that_cannot_be_removed_are_told_until_they_are(sight: Sight) -> None:
    sight.sell("alice", "bob", "carol")
    sight.asks("alice", "mkdir /tmp/in")
    private = sight.shop.place / "private"
    assert sight.inside("mount", "-t", "tmpfs", "other", f"{private}/alice/tmp/in").returncode == 0
    for name in ("alice", "carol"):
        (sight.shop.etc / f"accounts.d/{name}.yaml").unlink()
    for _ in range(2):
        told = sight.paas("reconcile", code=None)
        assert "failed   remove the view of alice" in told
        assert "busy" in told
        assert "failed   remove the view of carol" not in told
        (left,) = set(os.listdir(private)) - {"bob"}
        assert left.startswith(".gone-alice-")
    assert sight.inside("umount", f"{private}/{left}/tmp/in").returncode == 0
    assert "done     remove the view of alice" in sight.paas("reconcile")
    assert os.listdir(private) == ["bob"]


def rebooted(sight: Sight) -> None:
    all_gone(sight)
    for door in (sight.run_directory / "doors").iterdir():
        door.unlink()


def not_private(sight: Sight) -> None:
    sight.sell("alice", text="private: {shm: true}\n")


@pytest.mark.parametrize("before", [rebooted, not_private])
def test_another_customer_of_the_same_name_finds_no_files(sight: Sight, before: Callable[[Sight], None]) -> None:
    sight.sell("alice", "bob")
    for name in ("alice", "bob"):
        sight.asks(name, "echo kept >/tmp/kept")
    before(sight)
    (sight.shop.etc / "accounts.d/alice.yaml").unlink()
    sight.paas("reconcile")
    passwd = sight.shop.place / "passwd"
    passwd.write_text(passwd.read_text().replace(f":{sight.alice}:", f":{sight.alice + 98}:"))
    sight.inside("sh", "-c", f"umount /etc/passwd && mount --bind {passwd} /etc/passwd")
    sight.sell("alice")
    assert sight.python("alice", "import os; print(os.getuid())") == sight.alice + 98
    assert sight.python("alice", LISTS.format(path="/tmp")) == []
    assert sight.asks("bob", "cat /tmp/kept") == "kept"
    assert sorted(os.listdir(sight.shop.place / "private")) == ["alice", "bob"]


def whose(sight: Sight, *names: str) -> None:
    for name in names:
        sight.asks(name, f"echo {name} >/tmp/whose")


def test_a_login_enters_the_view(sight: Sight) -> None:
    sight.sell("alice", "bob")
    whose(sight, "alice", "bob")
    for name in ("alice", "bob"):
        answer, said, cgroup, told = sight.session(name)
        assert (int(answer), said, told) == (ENTERS, "", name)
        assert sight.shop.cgroups.path_of(cgroup) == f"users/{name}/login"


def test_who_becomes_another_customer_in_a_view_sees_that_ones(sight: Sight) -> None:
    sight.sell("alice")
    sight.sell("bob", text="private: {tmp: true}\n")
    sight.sell("carol", text="")
    whose(sight, "alice", "bob")
    sight.inside("sh", "-c", "echo host >/tmp/whose")
    try:
        for one in ("alice", "bob"):
            for other in ("alice", "bob", "carol"):
                told = sight.in_view(one, *sight.session_command(other)).stdout.splitlines()
                assert told[0] == str(ENTERS)
                assert told[3] == {"carol": "host"}.get(other, other)
                assert sight.shop.cgroups.path_of(told[2]) == f"users/{other}/login"
    finally:
        Path("/tmp/whose").unlink(missing_ok=True)


def no_handle(sight: Sight) -> None:
    assert sight.inside("umount", f"{sight.run_directory}/views/keeper").returncode == 0


def a_customers_own(sight: Sight) -> None:
    """A namespace that a customer has made, where the keeper's handle should be. One made on each CPU, for not all of
    them count as younger than the host's (`keeper.on_some_cpu`)."""
    own = ("unshare", "--user", "--mount", "--map-root-user", "sh", "-c", "echo; exec cat")
    makers = [sight.starts("bob", "taskset", "--cpu-list", str(cpu), *own) for cpu in os.sched_getaffinity(0)]
    for maker in makers:
        assert maker.stdout and maker.stdout.readline()
    no_handle(sight)
    keeper = f"{sight.run_directory}/views/keeper"
    tried = [sight.inside("mount", "--bind", f"/proc/{pid}/ns/mnt", keeper) for pid in sight.pids(sight.bob)]
    for maker in makers:
        maker.communicate()
    assert any(done.returncode == 0 for done in tried), tried


def another_namespace(sight: Sight) -> None:
    no_handle(sight)
    keeper = f"{sight.run_directory}/views/keeper"
    assert sight.inside("mount", "--bind", "/proc/self/ns/uts", keeper).returncode == 0


def nonsense(sight: Sight) -> None:
    door = sight.run_directory / f"doors/{sight.alice}:view"
    door.unlink()
    door.symlink_to("view/../etc")


def bobs_gone(sight: Sight) -> None:
    door = sight.run_directory / f"doors/{sight.alice}:view"
    door.unlink()
    door.symlink_to("view/nobody")


def too_long(sight: Sight) -> None:
    door = sight.run_directory / f"doors/{sight.alice}:view"
    door.unlink()
    door.symlink_to("view/" + "a" * 500)


def a_directory(sight: Sight) -> None:
    door = sight.run_directory / f"doors/{sight.alice}:view"
    door.unlink()
    door.mkdir()


@pytest.mark.parametrize(
    "breaks", [no_handle, a_customers_own, another_namespace, nonsense, bobs_gone, too_long, a_directory]
)
def test_nobody_comes_in_without_the_view_that_was_sold(sight: Sight, breaks: object) -> None:
    sight.sell("alice", "bob")
    breaks(sight)  # type: ignore[operator]
    for options in ((), (f"penalty={sight.shop.cgroups.root}/penalty",)):
        answer, said, *_ = sight.session("alice", *options)
        assert int(answer) == REFUSED
        assert "not possible" in said
    answer, said, *_ = sight.session("alice", "on_failure=open")
    assert (int(answer), said) == (ENTERS, "")
    done = sight.inside(*sight.enter("alice", "echo", "it ran"))
    assert (done.returncode, done.stdout) == (125, "")
    assert "the view of the account cannot be entered" in done.stderr


def test_the_penalty_leaf_is_entered_in_the_view(sight: Sight) -> None:
    sight.sell("alice")
    whose(sight, "alice")
    door = sight.run_directory / f"doors/{sight.alice}"
    door.unlink()
    door.symlink_to(f"{sight.shop.cgroups.root}/users/alice/nowhere")
    penalty = f"penalty={sight.shop.cgroups.root}/penalty"
    answer, _, cgroup, told = sight.session("alice", penalty)
    assert (int(answer), sight.shop.cgroups.path_of(cgroup), told) == (ENTERS, "penalty", "alice")
    no_handle(sight)
    assert int(sight.session("alice", penalty)[0]) == REFUSED


@pytest.mark.parametrize("files", range(5, 9))
def test_few_descriptors_lead_out_of_no_view(sight: Sight, files: int) -> None:
    """Three are open: with one more PAM cannot load a module."""
    sight.sell("alice")
    sight.sell("bob", text="private: {tmp: true}\n")
    whose(sight, "alice", "bob")
    command = sight.session_command("bob", f"penalty={sight.shop.cgroups.root}/penalty")
    few = ("sh", "-c", f'ulimit -Sn {files} && exec "$@"', "sh", *command)
    answer, _, cgroup, told = sight.in_view("alice", *few).stdout.splitlines()
    assert (int(answer), sight.shop.cgroups.path_of(cgroup), told) == (ENTERS, "users/bob/login", "bob")
    limits = sight.in_view("alice", *few[:-1], "/proc/self/limits").stdout
    assert f"Max open files            {files} " in limits, "it is as it was"


@pytest.mark.parametrize("files", range(5, 9))
def test_where_no_room_can_be_made_nobody_comes_in_without_the_view(sight: Sight, files: int) -> None:
    if os.path.exists("/dev/log"):  # syslog(3) would hold a descriptor more
        assert sight.inside("mount", "--bind", "/dev/null", "/dev/log").returncode == 0
    sight.sell("alice")
    sight.sell("bob", text="private: {tmp: true}\n")
    whose(sight, "alice", "bob")
    command = sight.session_command("bob", f"penalty={sight.shop.cgroups.root}/penalty")
    powerless = "setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource"
    few = ("sh", "-c", f'ulimit -n {files} && exec {powerless} "$@"', "sh", *command)
    answer, said, _, *told = sight.in_view("alice", *few).stdout.splitlines()
    if files < 6:
        assert (int(answer), told) == (REFUSED, [])
        assert "not possible" in said
    else:
        assert (int(answer), told) == (ENTERS, ["bob"])


def test_root_and_the_exempt_keep_the_hosts(sight: Sight) -> None:
    sight.sell("alice")
    whose(sight, "alice")
    for name, options in (("root", ()), ("alice", (f"exempt={sight.alice}",))):
        told = sight.session(name, *options)
        assert told[0] == str(ENTERS)
        assert told[3:] == []


def test_it_costs_one_call_where_there_is_none(sight: Sight) -> None:
    """What a login pays for a view, in system calls: one link that is not there, and twenty-odd where it is."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    counts = {}
    for text in ("", PRIVATE):
        sight.sell("alice", text=text)
        done = sight.inside("strace", "-qq", *sight.session_command("alice"))
        lines = done.stderr.splitlines()
        begin, end = (number for number, line in enumerate(lines) if line.startswith("getpgid("))
        counts[text] = [line for line in lines[begin:end] if ":view" in line or "setns(" in line]
    assert [line.partition("(")[0] for line in counts[""]] == ["readlink"]
    assert [line.partition("(")[0] for line in counts[PRIVATE]] == ["readlink", "setns", "setns"]
