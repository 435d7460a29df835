"""paas-run, built with sanitizers: its program inherits nothing of root's, and no customer can misuse it."""

import os
import resource
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.model.service_program import Failure, Health
from tests.support.kernel.pam_session import QUIET
from tests.support.kernel.shim_host import (
    CUSTOMER,
    LEAF,
    OTHER,
    ShimHost,
    as_customer,
    build,
    keep_capabilities,
    opened,
    private_mounts,
)
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def program() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield build(Path(place), "-DHOOK_TIMEOUT_MS=2000")


@pytest.fixture
def host(program: Path, cgroups: CgroupTree) -> Iterator[ShimHost]:
    with opened(program, cgroups) as host:
        yield host


CAPABILITIES = {"sys_nice": 23, "sys_resource": 24}


def may(what: str) -> bool:
    """Root of a container may less: then a worse place stands for a better one."""
    status = Path("/proc/self/status").read_text()
    return bool(int(status.partition("CapEff:")[2].split()[0], 16) >> CAPABILITIES[what] & 1)


def root_at_work() -> None:
    """Everything that root may have about it when it calls us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
    os.umask(0o077)
    os.chdir("/root")
    os.environ["SECRET"] = "1"
    os.setpriority(os.PRIO_PROCESS, 0, -5 if may("sys_nice") else 5)
    Path("/proc/self/oom_score_adj").write_text("-900" if may("sys_resource") else "900")
    for which, soft in ((resource.RLIMIT_CORE, -1), (resource.RLIMIT_NOFILE, 3000), (resource.RLIMIT_FSIZE, 1 << 30)):
        hard = soft if may("sys_resource") else resource.getrlimit(which)[1]
        resource.setrlimit(which, (soft, hard))
    resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]))
    for fd in (os.open("/etc/shadow", os.O_RDONLY), os.open("/", os.O_RDONLY)):
        os.set_inheritable(fd, True)


def test_it_runs_as_the_customer_inside(host: ShimHost) -> None:
    told = host.tell()
    assert host.cgroups.path_of(str(told["cgroup"])) == LEAF
    assert (told["uids"], told["gids"]) == ([CUSTOMER] * 3, [CUSTOMER] * 3)
    assert told["groups"] == [CUSTOMER]
    assert told["input"] == "/dev/null"
    assert told["leader"]


def test_nothing_of_roots_goes_along(host: ShimHost) -> None:
    plain = host.tell()
    host.log.unlink()
    told = host.tell(before=root_at_work, environment=(("COLOUR", "green"),))
    found = told.pop("environment")
    assert isinstance(found, dict)
    assert {name: found[name] for name in ("COLOUR", "USER", "LOGNAME")} == {
        "COLOUR": "green",
        "USER": "nobody",
        "LOGNAME": "nobody",
    }
    assert set(found) - {"LC_CTYPE", "PWD", "OLDPWD"} == {"PATH", "HOME", "SHELL", "USER", "LOGNAME", "COLOUR"}
    assert told["descriptors"] == [0, 1, 2]
    assert (told["umask"], told["directory"]) == (["0022"], str(host.home))
    assert (told["oom"], told["nice"], told["policy"]) == ("0", 0, os.SCHED_OTHER)
    assert told["blocked"] == ["0000000000000000"]
    assert int(str(told["ignored"])[2:-2], 16) & (1 << signal.SIGINT - 1 | 1 << signal.SIGHUP - 1) == 0
    assert {name: int(text, 16) for name, text in told["capabilities"].items()} == dict.fromkeys(  # type: ignore[attr-defined]
        ("CapInh", "CapPrm", "CapEff", "CapAmb"), 0
    )
    assert told["limits"] == plain["limits"]
    assert told["loginuid"] in (str(CUSTOMER), str((1 << 32) - 1))  # a kernel without audit knows nobody


def test_no_key_of_roots_goes_along(host: ShimHost) -> None:
    words = ["keyctl", "add", "user", "paas-secret", "secret", "@s"]
    if not any(os.access(f"{path}/keyctl", os.X_OK) for path in os.defpath.split(":")):
        pytest.skip("keyutils is not installed")

    def with_a_key() -> None:
        subprocess.run(words, check=True, capture_output=True)

    assert "paas-secret" not in str(host.tell(before=with_a_key)["keys"])


def test_capabilities_that_root_would_keep_are_dropped(host: ShimHost) -> None:
    told = host.tell(before=keep_capabilities)
    assert {int(text, 16) for text in told["capabilities"].values()} == {0}  # type: ignore[attr-defined]


def test_what_is_asked_for_is_given(host: ShimHost) -> None:
    told = host.tell(umask="027", no_new_privs=True, rlimits=(("core", 0), ("nofile", 77)))
    assert (told["umask"], told["no_new_privs"]) == (["0027"], ["1"])
    limits = told["limits"]
    assert isinstance(limits, dict)
    assert (limits["RLIMIT_NOFILE"], limits["RLIMIT_CORE"]) == ([77, 77], [0, 0])


def secret_of_another(host: ShimHost) -> Path:
    place = host.home.parent / "other"
    place.mkdir()
    (place / "file").write_text("STOLEN=1\n")
    (place / "file").chmod(0o600)
    for path in (place, place / "file"):
        os.chown(path, OTHER, OTHER)
    place.chmod(0o700)
    return place


@pytest.mark.parametrize("kind", ["other", "etc", "fifo", "file"])
def test_a_directory_of_logs_that_is_none_costs_the_log_alone(host: ShimHost, kind: str) -> None:
    other = secret_of_another(host)
    logs = host.home / "logs"
    match kind:
        case "other" | "etc":
            logs.symlink_to(other if kind == "other" else "/etc")
        case "fifo":
            os.mkfifo(logs)
        case "file":
            logs.touch()
    assert host.begin("echo hello; exit 3") == ""
    assert host.ended() == ["exit", "3"]
    assert [path.name for path in other.iterdir()] == ["file"]
    assert not Path("/etc/web.log").exists()


@pytest.mark.parametrize("kind", ["shadow", "other", "open to all", "fifo", "device", "directory"])
def test_a_log_that_is_no_file_of_theirs_is_not_written(host: ShimHost, kind: str) -> None:
    other = secret_of_another(host)
    shadow = Path("/etc/shadow").read_bytes()
    host.log.parent.mkdir()
    os.chown(host.log.parent, CUSTOMER, CUSTOMER)
    everybodys = host.home.parent / "everybodys"
    everybodys.touch()
    everybodys.chmod(0o666)
    match kind:
        case "shadow":
            host.log.symlink_to("/etc/shadow")
        case "other":
            host.log.symlink_to(other / "file")
        case "open to all":
            host.log.symlink_to(everybodys)
        case "fifo":
            os.mkfifo(host.log)
            os.chown(host.log, CUSTOMER, CUSTOMER)
        case "device":
            os.mknod(host.log, stat.S_IFCHR | 0o666, os.makedev(1, 3))
            host.log.chmod(0o666)
        case "directory":
            host.log.mkdir()
    assert host.begin("echo hello; exit 3") == ""
    assert host.ended() == ["exit", "3"]
    assert Path("/etc/shadow").read_bytes() == shadow
    assert (other / "file").read_text() == "STOLEN=1\n"
    assert everybodys.read_text() == ""


@pytest.mark.parametrize("place", ["/root", "/nowhere", "/etc/passwd", "other"])
def test_a_directory_that_is_not_the_customers_begins_nothing(host: ShimHost, place: str) -> None:
    if place == "other":
        place = str(secret_of_another(host))
    link = host.home / "app"
    link.symlink_to(place)
    assert host.begin("touch ran", directory=str(link)) == ""
    (waiting,) = host.waiting()
    assert f"{link}{' is not there' if place == '/nowhere' else ': '}" in waiting
    wait_for(lambda: str(link) in host.said(), what="the customer is told")
    assert not Path(place, "ran").exists()
    assert not (host.home / "ran").exists()


@pytest.mark.parametrize("kind", ["shadow", "other", "fifo", "device", "directory", "nothing"])
def test_an_environment_file_is_the_customers_or_is_not_read(host: ShimHost, kind: str) -> None:
    other = secret_of_another(host)
    path = host.home / ".env"
    if kind == "fifo":
        os.mkfifo(path)
        path.chmod(0o666)
    elif kind != "nothing":
        targets = {"shadow": "/etc/shadow", "other": str(other / "file"), "device": "/dev/zero", "directory": "/etc"}
        path.symlink_to(targets[kind])
    assert host.begin("env; exit 0", environment_file=str(path)) == ""
    assert host.ended() == ["exit", "0"]
    said = host.said()
    assert "STOLEN" not in said
    assert "root:" not in said
    wrong = {"shadow": "Permission denied", "other": "Permission denied", "nothing": "No such file or directory"}
    assert f"{path}: {wrong.get(kind, 'is no regular file')}\n" in said


def test_an_environment_file_is_read_as_lines(host: ShimHost) -> None:
    path = host.home / ".env"
    lines = ["# told", "A=1", "export B='two words' ", 'C="3"', "D=$A", "=5", "7=8", "E", "F=", "", "G='", "A=9"]
    path.write_text("\n".join(lines))
    assert host.begin('echo "$A|$B|$C|$D|$F|$G|${E-none}"', environment_file=str(path)) == ""
    assert host.ended() == ["exit", "0"]
    *complaints, values = host.said().splitlines()
    assert values == "9|two words|3|$A||'|none"
    assert [line.rpartition(".env:")[2].partition(":")[0] for line in complaints] == ["6", "7", "8", "11"]


def test_an_environment_file_may_have_values_of_many_lines_and_a_byte_order_mark(host: ShimHost) -> None:
    path = host.home / ".env"
    path.write_text('\ufeffA=1\r\nKEY=\'-----BEGIN\nB=2\n\nEND----- \'\nC="x"y"\nD="\n"\nE=5')
    assert host.begin('printf "%s|" "$A" "$KEY" "$B" "$C" "$D" "$E"', environment_file=str(path)) == ""
    assert host.ended() == ["exit", "0"]
    assert host.said() == '1|-----BEGIN\nB=2\n\nEND----- ||x"y|\n|5|'


def test_a_log_that_is_taken_away_is_begun_anew(host: ShimHost) -> None:
    assert host.begin("while :; do echo beat; sleep 0.05; done") == ""
    wait_for(host.said, what="it has a log")
    host.log.unlink()
    wait_for(host.said, what="it has another")
    host.log.rename(host.home / "elsewhere")
    host.log.parent.rename(host.home / "away")
    os.kill(host.main(), signal.SIGKILL)
    assert host.ended() == ["signal", "9"]


def test_a_log_that_is_moved_away_is_followed_by_what_it_is(host: ShimHost) -> None:
    assert host.begin("while :; do echo beat; sleep 0.05; done") == ""
    wait_for(host.said, what="it has a log")
    aside = host.home / "logs/web.log.old"
    host.log.rename(aside)
    wait_for(host.said, what="what is said goes where the log is to be")
    before = aside.read_text()
    time.sleep(0.3)  # long enough for what must not come
    assert aside.read_text() == before


def test_a_full_disk_holds_nothing_up(host: ShimHost) -> None:
    def with_little_room() -> None:
        private_mounts()
        host.log.parent.mkdir()
        options = f"size=64k,uid={CUSTOMER},gid={CUSTOMER},mode=755"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", host.log.parent], check=True)

    many = 2000
    speak = f"i=0; while [ $i -lt {many} ]; do echo {'0123456789' * 6}; i=$((i+1)); done"
    assert host.begin(f"{speak}; touch ran; exec sleep 1000", before=with_little_room) == ""
    wait_for(lambda: (host.home / "ran").exists(), what="it has said it all")
    wait_for(lambda: "sleep" in host.pids(), what="it is what it will be")
    inside = Path(f"/proc/{host.keeper()}/root{host.log}")
    assert 0 < inside.stat().st_size <= 64 << 10
    os.kill(host.pids()["sleep"], signal.SIGTERM)
    assert host.ended() == ["signal", "15"]


def test_a_flood_fills_no_disk_and_stops_no_keeper(host: ShimHost) -> None:
    health = Health("touch seen", every=100, failures=3)
    flood = "exec yes 0123456789012345678901234567890123456789"
    assert host.begin(flood, log_max=100_000, log_keep=2, health=health) == ""
    wait_for(lambda: (host.home / "seen").exists(), what="its health is tried")
    wait_for(lambda: (host.log.parent / "web.log.2").exists(), what="logs are put aside")
    os.kill(host.pids()["yes"], signal.SIGKILL)
    assert host.ended() == ["signal", "9"]
    wait_for(lambda: not host.pids(), what="its keeper is done")
    names = {path.name: path.stat().st_size for path in host.log.parent.iterdir()}
    assert set(names) <= {"web.log", "web.log.1", "web.log.2"}
    assert all(size <= 100_000 + 65_536 for size in names.values()), names


def test_its_output_can_be_opened_by_name(host: ShimHost) -> None:
    """As php-fpm, nginx and many a container's entry do."""
    assert host.begin("echo one >/dev/stdout && echo two >/dev/stderr && echo three >/proc/self/fd/2") == ""
    assert host.ended() == ["exit", "0"]
    assert host.said() == "one\ntwo\nthree\n"


@pytest.mark.parametrize("begin", ["", "#!/bin/sh\n"], ids=["no-interpreter", "a-script"])
@pytest.mark.parametrize("command", ["./plain one two", "exec ./plain  one two", "cd . && ./plain 'one' two"])
def test_plain_words_and_lines_of_the_shell_do_the_same(host: ShimHost, command: str, begin: str) -> None:
    """What is no more than a path and words is executed without a shell."""
    program = host.home / "plain"
    program.write_text(f'{begin}echo "$#: $*"; exit 3\n')
    program.chmod(0o755)
    assert host.begin(command) == ""
    assert host.ended() == ["exit", "3"]
    assert host.said().splitlines()[0] == "2: one two"


@pytest.mark.parametrize(("command", "status"), [("./nothing there", "127"), ("/etc/passwd", "126")])
def test_what_cannot_be_executed_is_told_as_the_shell_tells_it(host: ShimHost, command: str, status: str) -> None:
    assert host.begin(command) == ""
    assert host.ended() == ["exit", status]
    assert command.split()[0] in host.said()


def test_lines_without_an_end_and_bytes_of_all_kinds_pass(host: ShimHost) -> None:
    assert host.begin("head -c 300000 /dev/urandom; printf x") == ""
    assert host.ended() == ["exit", "0"]
    assert len(host.log.read_bytes()) == 300_001


def test_who_closes_its_output_is_kept_all_the_same(host: ShimHost) -> None:
    assert host.begin("exec >&- 2>&-; exec sleep 1000") == ""
    wait_for(lambda: "sleep" in host.pids(), what="it is what it will be")
    keeper = host.keeper()
    before = cpu_ticks(keeper)
    time.sleep(1)  # what it takes meanwhile is measured
    assert cpu_ticks(keeper) - before < os.sysconf("SC_CLK_TCK") // 5, "its keeper turns in a circle"
    os.kill(host.pids()["sleep"], signal.SIGUSR1)
    assert host.ended() == ["signal", str(int(signal.SIGUSR1))]


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_what_outlives_the_program_holds_no_keeper(host: ShimHost) -> None:
    assert host.begin("sleep 1000 & exit 4") == ""
    assert host.ended() == ["exit", "4"]
    wait_for(lambda: set(host.pids()) == {"sleep"}, what="the keeper goes")


def test_the_customer_cannot_trace_the_keeper_nor_write_its_record(host: ShimHost) -> None:
    assert host.begin("exec sleep 1000") == ""
    wait_for(lambda: "sleep" in host.pids(), what="it is what it will be")
    keeper = host.keeper()
    attach = f"import ctypes, sys; sys.exit(ctypes.CDLL(None).ptrace(16, {keeper}, 0, 0) == 0)"
    assert as_customer("/usr/bin/python3", "-IS", "-c", attach).returncode == 0
    for name in ("fd/4", "environ", "maps", "root", "cwd", "mem"):
        done = as_customer("sh", "-c", f"head -c 1 /proc/{keeper}/{name} || echo x >>/proc/{keeper}/{name}")
        assert "ermission denied" in done.stderr, name
    for name in ("sleep",):
        held = as_customer("ls", "-l", f"/proc/{host.pids()[name]}/fd").stdout
        assert str(host.record) not in held
        assert "cgroup" not in held


STOPPER = """
#include <signal.h>
#include <unistd.h>
int main(void) { if (setresgid(UID, UID, UID) || setresuid(UID, UID, UID)) return 1; for (;;) kill(-1, SIGSTOP); }
"""


def test_a_customer_who_stops_all_that_is_theirs_holds_nobody_up(host: ShimHost, tmp_path: Path) -> None:
    program = tmp_path / "stopper"
    words = ("gcc", "-O2", f"-DUID={CUSTOMER}", "-x", "c", "-o", program, "-")
    subprocess.run(words, input=STOPPER, text=True, check=True)
    with subprocess.Popen([program]) as stopper:
        try:
            for _ in range(10):
                begin = time.monotonic()
                assert host.begin("exec sleep 1000") == ""
                assert time.monotonic() - begin < 8
                host.cgroups.kill(LEAF)
        finally:
            stopper.kill()


def test_a_keeper_that_is_killed_takes_no_program_along(host: ShimHost) -> None:
    assert host.begin("exec sleep 1000") == ""
    wait_for(lambda: "sleep" in host.pids(), what="it is what it will be")
    os.kill(host.keeper(), signal.SIGKILL)
    wait_for(lambda: set(host.pids()) == {"sleep"}, what="the program goes on")
    assert {words[0] for words in host.notes()} == {"keeper", "main"}


def test_a_frozen_leaf_begins_nothing_and_keeps_nothing(host: ShimHost) -> None:
    host.cgroups.write(LEAF, "cgroup.freeze", "1")
    assert host.begin("touch ran") == "the leaf is frozen"
    wait_for(lambda: not host.pids(), what="nothing waits in it")
    host.cgroups.write(LEAF, "cgroup.freeze", "0")
    time.sleep(0.2)  # long enough for what must not come
    assert not (host.home / "ran").exists()


def test_a_leaf_that_was_killed_once_begins_again(host: ShimHost) -> None:
    host.cgroups.kill(LEAF)
    assert host.begin("exit 5") == ""
    assert host.ended() == ["exit", "5"]


def test_a_hook_is_told_how_it_ended(host: ShimHost) -> None:
    failure = Failure(mail="", run="echo $RESULT of $SERVICE >told")
    assert host.begin("exit 6", on_failure=failure) == ""
    assert host.ended() == ["exit", "6"]
    wait_for(lambda: not host.pids(), what="the keeper goes, when the hook has ended")
    assert (host.home / "told").read_text() == "exit status 6 of nobody/web\n"


def test_of_a_job_that_could_not_begin_somebody_is_told(host: ShimHost) -> None:
    failure = Failure(mail="", run="echo $RESULT >told")
    for is_job in (False, True):
        away = str(host.home / "app")
        assert host.begin("exit 0", on_failure=failure, directory=away, is_job=is_job) == ""
        assert host.waiting()
        wait_for(lambda: not host.pids(), what="the keeper goes")
        assert not (host.home / "told").exists(), "a hook begins in the same directory"
        assert ("on_failure.run ended with exit status 125" in host.said()) == is_job


def test_a_hook_that_fails_is_told_with_what_it_says(host: ShimHost) -> None:
    assert host.begin("echo last words; exit 6", on_failure=Failure(run="echo nobody home >&2; exit 3")) == ""
    assert host.ended() == ["exit", "6"]
    wait_for(lambda: not host.pids(), what="the keeper goes")
    assert host.said().splitlines() == [
        "last words",
        "paas-isolate: ended with exit status 6",
        "nobody home",
        "paas-isolate: on_failure.run ended with exit status 3",
    ]


def test_a_hook_that_hangs_is_ended_with_all_of_its_own(host: ShimHost) -> None:
    hook = "trap '' TERM; touch hangs; sleep 1000 & while :; do sleep 1000; done"
    begin = time.monotonic()
    assert host.begin("exit 6", on_failure=Failure(run=hook)) == ""
    wait_for(lambda: (host.home / "hangs").exists(), what="it has begun")
    wait_for(lambda: not host.pids(), what="nothing of it is left")
    assert time.monotonic() - begin >= 2, "which is all that this keeper gives it"
    assert "paas-isolate: on_failure.run was ended after 2 s\n" in host.said()


def test_nobody_is_told_of_what_ended_well_or_was_asked_to_end(host: ShimHost) -> None:
    failure = Failure(run="touch told")
    assert host.begin("exit 0", on_failure=failure) == ""
    wait_for(lambda: not host.pids(), what="the keeper goes")
    assert host.begin("trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done", on_failure=failure) == ""
    wait_for(lambda: "ready" in host.said(), what="it listens")
    for pid in host.cgroups.pids(LEAF):
        os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not host.pids(), what="the keeper goes")
    assert not (host.home / "told").exists()


SENDMAIL = """#!/bin/sh
echo "$(id -u) $(id -G) $*" >{home}/sent
cat >>{home}/sent
exit {status}
"""


def sendmail(home: Path, status: int) -> Callable[[], None]:
    """Done in a mount namespace of its own: a sendmail that writes down by whom and how it was called."""

    def bind() -> None:
        private_mounts()
        fake = home.parent / "sendmail"
        fake.write_text(SENDMAIL.format(home=home, status=status))
        fake.chmod(0o755)
        here = Path("/usr/sbin/sendmail")
        if here.exists():
            subprocess.run(["mount", "--bind", fake, here], check=True)
        else:
            over = home.parent / "sbin"
            over.mkdir()
            fake.rename(over / "sendmail")
            subprocess.run(["mount", "--bind", over, "/usr/sbin"], check=True)

    return bind


def test_a_mail_has_the_end_of_what_was_said(host: ShimHost) -> None:
    failure = Failure(mail="ops+night@example.com")
    command = "i=0; while [ $i -lt 900 ]; do echo line $i; i=$((i+1)); done; printf 'Grüße; From x\n.\n'; kill -9 $$"
    assert host.begin(command, before=sendmail(host.home, 0), on_failure=failure) == ""
    wait_for(lambda: not host.pids(), what="the keeper goes")
    first, *head = (host.home / "sent").read_text().partition("\n\n")[0].splitlines()
    assert first == f"{CUSTOMER} {CUSTOMER} -i -- ops+night@example.com"
    assert head == [
        "Subject: nobody/web: signal 9 (Killed)",
        "To: ops+night@example.com",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=UTF-8",
        "Content-Transfer-Encoding: 8bit",
    ]
    body = (host.home / "sent").read_text().partition("\n\n")[2]
    assert body.startswith("nobody/web ended with signal 9 (Killed).\n\n")
    assert body.endswith("line 899\nGrüße; From x\n.\n\n")
    assert "line 0\n" not in body
    assert "the mail" not in host.said()


def test_a_mail_that_cannot_be_sent_is_told(host: ShimHost) -> None:
    failed = host.begin("exit 6", before=sendmail(host.home, 75), on_failure=Failure(mail="ops@example.com"))
    assert failed == ""
    wait_for(lambda: not host.pids(), what="the keeper goes")
    assert "paas-isolate: the mail about it ended with exit status 75\n" in host.said()


def test_whoever_was_killed_with_its_keeper_is_told_of_by_another(host: ShimHost) -> None:
    failure = Failure(mail="ops@example.com", run="echo $RESULT of $SERVICE >told; id -u >>told")
    assert host.begin("echo last words; exec sleep 1000", on_failure=failure) == ""
    wait_for(lambda: "last words" in host.said(), what="it speaks")
    host.cgroups.kill(LEAF)
    wait_for(lambda: not host.pids(), what="both are gone")
    how = "killed: out of memory"
    failed = host.begin("touch ran", before=sendmail(host.home, 0), ended=how, on_failure=failure)
    assert failed == ""
    wait_for(lambda: not host.pids(), what="the messenger goes")
    assert (host.home / "told").read_text() == f"{how} of nobody/web\n{CUSTOMER}\n"
    sent = (host.home / "sent").read_text()
    assert f"Subject: nobody/web: {how}\n" in sent
    assert sent.endswith(f"nobody/web ended with {how}.\n\nlast words\n\n")
    assert host.said() == f"last words\npaas-isolate: ended with {how}\n"
    assert not (host.home / "ran").exists()
    assert host.notes() == []


@pytest.mark.parametrize("what", ["link", "fifo", "nothing"])
def test_a_log_that_is_none_tells_nothing_of_others(host: ShimHost, what: str) -> None:
    host.log.parent.mkdir()
    os.chown(host.log.parent, CUSTOMER, CUSTOMER)
    if what == "link":
        host.log.symlink_to("/etc/shadow")
    elif what == "fifo":
        os.mkfifo(host.log)
    failure = Failure(mail="ops@example.com")
    assert host.begin("true", before=sendmail(host.home, 0), ended="signal 9", on_failure=failure) == ""
    wait_for(lambda: not host.pids(), what="the messenger goes")
    assert (host.home / "sent").read_text().endswith("nobody/web ended with signal 9.\n\n\n")


REQUEST = (
    "command=touch ran", "log_max=1000", "log_keep=2", "umask=022", "variable=A=1", "rlimit=7:10", "account=nobody",
    "service=web", "name=nobody/web", "user=nobody", "directory=/tmp",
)  # fmt: skip


def asked(host: ShimHost, request: bytes, **how: object) -> subprocess.CompletedProcess[str]:
    with host.cgroups.directory(LEAF) as leaf, open(host.record, "w") as record:
        host.record.chmod(0o666)  # for the shell that is not root's
        shell = f'exec "$0" nobody/web 3</dev/fd/{leaf} 4>>/dev/fd/{record.fileno()}'
        words = ["sh", "-c", shell, str(host.program)]
        fds = (leaf, record.fileno())
        done = subprocess.run(words, input=request, capture_output=True, timeout=20, env=QUIET, pass_fds=fds, **how)  # type: ignore[call-overload]
    return subprocess.CompletedProcess(words, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_a_request_that_is_cut_short_begins_nothing(host: ShimHost) -> None:
    whole = b"".join(line.encode() + b"\0" for line in REQUEST)
    for size in (0, *range(1, len(whole), 7), len(whole) - 1):
        done = asked(host, whole[:size])
        assert (done.returncode, done.stdout) == (125, ""), size
        assert "is not whole" in done.stderr, (size, done.stderr)
    assert not host.pids()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (b"unheard=of\0", "nothing is known of unheard"),
        (b"nothing\0", "no request: nothing"),
        (b"\0", "no request"),
        (b"rlimit=x\0", "no resource limit"),
        (b"rlimit=7\0", "no resource limit"),
        (b"rlimit=7:1\0" * 17, "no resource limit"),
        (b"user=root\0", "is root, and no customer"),
        (b"user=nosuchuser\0", "no user is called nosuchuser"),
        (b"command=" + b"x" * (600 << 10) + b"\0", "is not whole"),
    ],
)
def test_a_request_that_is_wrong_begins_nothing(host: ShimHost, more: bytes, said: str) -> None:
    whole = b"".join(line.encode() + b"\0" for line in REQUEST)
    done = asked(host, whole + more)
    assert (done.returncode, done.stdout) == (125, "")
    assert said in done.stderr
    assert not host.pids()


def test_it_is_for_root_alone(host: ShimHost) -> None:
    whole = b"".join(line.encode() + b"\0" for line in REQUEST)
    done = asked(host, whole, user=OTHER, group=OTHER, extra_groups=[])
    assert done.returncode == 125
    assert "for root alone" in done.stderr
