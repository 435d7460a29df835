"""How libpam reads its files and which lines it calls, with the files of Debian 12, a little shortened."""

from collections.abc import Callable
from pathlib import Path

import pytest

from paas_isolate.linux.pam import profile
from paas_isolate.linux.pam.evaluate import called
from paas_isolate.linux.pam.stacks import DEEPEST, Line, lines

COMMON = """\
# /etc/pam.d/common-session
session\t[default=1]\t\t\tpam_permit.so
session\trequisite\t\t\tpam_deny.so
session\trequired\t\t\tpam_permit.so
session\trequired\tpam_unix.so
session\toptional\tpam_systemd.so
"""
SSHD = """\
@include common-auth
account    required     pam_nologin.so
session [success=ok ignore=ignore module_unknown=ignore default=bad]        pam_selinux.so close
session    required     pam_loginuid.so
@include common-session
session    optional     pam_motd.so  motd=/run/motd.dynamic
session    required     pam_env.so user_readenv=1 envfile=/etc/default/locale # a comment
"""

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to(**files: str) -> None:
        for name, text in files.items():
            (tmp_path / name.replace("_", "-")).write_text(text)

    return to


def modules(place: Path, service: str, kind: str = "session") -> list[str]:
    return [line.module for line in lines(service, kind, str(place))]


def test_a_service_with_what_it_includes(write: Write, tmp_path: Path) -> None:
    write(sshd=SSHD, common_session=COMMON)
    found = lines("sshd", confdir=str(tmp_path))
    sshd, common = f"{tmp_path}/sshd", f"{tmp_path}/common-session"
    selinux = "[success=ok ignore=ignore module_unknown=ignore default=bad]"
    assert found == (
        Line(sshd, 3, selinux, "pam_selinux.so", ("close",)),
        Line(sshd, 4, "required", "pam_loginuid.so"),
        Line(common, 2, "[default=1]", "pam_permit.so", (), (sshd,)),
        Line(common, 3, "requisite", "pam_deny.so", (), (sshd,)),
        Line(common, 4, "required", "pam_permit.so", (), (sshd,)),
        Line(common, 5, "required", "pam_unix.so", (), (sshd,)),
        Line(common, 6, "optional", "pam_systemd.so", (), (sshd,)),
        Line(sshd, 6, "optional", "pam_motd.so", ("motd=/run/motd.dynamic",)),
        Line(sshd, 7, "required", "pam_env.so", ("user_readenv=1", "envfile=/etc/default/locale")),
    )
    assert found[6].place == f"{common}:6"
    assert modules(tmp_path, "sshd", "account") == ["pam_nologin.so"]  # common-auth is missing, and passed over


def test_typed_includes_take_their_own_kind_only(write: Write, tmp_path: Path) -> None:
    write(
        a="session include b\nauth include c\n-Session SUBSTACK c\nsession required z.so\n",
        b="auth required no.so\nsession required /lib/security/b.so\n",
        c=f"session optional c.so\nsession include {tmp_path}/b\n",
    )
    found = lines("a", confdir=str(tmp_path))
    assert [(line.module, len(line.substacks), len(line.via)) for line in found] == [
        ("b.so", 0, 1),
        ("c.so", 1, 1),
        ("b.so", 1, 2),
        ("z.so", 0, 0),
    ]
    assert found[2].substacks == (f"{tmp_path}/a:3",)
    assert found[2].via == (f"{tmp_path}/a", f"{tmp_path}/c")
    assert modules(tmp_path, "a", "auth") == []


@pytest.mark.parametrize(
    ("text", "number", "said"),
    [
        ("session required \\\n  a.so one\\\n two\n", 1, "required a.so one two"),
        ("\n\nsession \\  \n# alone, it ends nothing\n\nrequired a.so\n", 3, "required a.so"),
        ("session required a.so # ends here \\\nsession\n", 1, "required a.so"),
        ("session [success=1\t  default=ignore]  a.so\n", 1, "[success=1 default=ignore] a.so"),
        ("session REQUIRED a.so [one \\] two] x[y]\n", 1, "required a.so one ] two x[y]"),
        ("-session\toptional a.so\n", 1, "optional a.so"),
        ("session required a.so \\", 1, "required a.so"),
        ("session required /usr/lib/x86_64-linux-gnu/security/a.so", 1, "required a.so"),
    ],
)
def test_a_line_as_libpam_reads_it(write: Write, tmp_path: Path, text: str, number: int, said: str) -> None:
    write(a=text)
    (found,) = lines("a", confdir=str(tmp_path))
    assert (found.number, found.said) == (number, said)


@pytest.mark.parametrize(
    "text",
    [
        *("", "#session required a.so\n", "session\n", "session required\n", "sessions required a.so\n"),
        *("@include\n", "\\\n", "\\\n\\\n", "session include\n", "session include none\n", "auth required a.so\n"),
    ],
)
def test_what_is_no_line(write: Write, tmp_path: Path, text: str) -> None:
    write(a=text)
    assert lines("a", confdir=str(tmp_path)) == ()


def test_files_in_a_circle_end(write: Write, tmp_path: Path) -> None:
    write(a="session required a.so\n@include a\n")
    assert len(lines("a", confdir=str(tmp_path))) == DEEPEST


def test_a_service_without_lines_of_a_kind_has_those_of_other(write: Write, tmp_path: Path) -> None:
    write(a="auth required a.so\n", other="auth required o.so\nsession required o.so\n")
    assert modules(tmp_path, "a") == modules(tmp_path, "none") == ["o.so"]
    assert modules(tmp_path, "a", "auth") == ["a.so"]


def names(text: str, place: Path, **answers: str) -> str:
    """The modules called, when every module that is not in `answers` succeeds."""
    (place / "walked").write_text(text)
    stack = lines("walked", confdir=str(place))
    found = called(stack, lambda line: answers.get(line.module, "success"))
    return " ".join(line.module for line in found)


@pytest.mark.parametrize(
    ("text", "answers", "expected"),
    [
        ("session required a\nsession optional b\n", {}, "a b"),
        ("session [success=1 default=ignore] a\nsession required b\nsession required c\n", {}, "a c"),
        (
            "session [success=1 default=ignore] a\nsession required b\nsession required c\n",
            {"a": "perm_denied"},
            "a b c",
        ),
        ("session [default=1] a\nsession required b\nsession required c\n", {}, "a c"),
        ("session [success=2 perm_denied=die default=ignore] a\nsession required b\n", {"a": "perm_denied"}, "a"),
        ("session sufficient a\nsession required b\n", {}, "a"),
        ("session sufficient a\nsession required b\n", {"a": "ignore"}, "a b"),
        ("session requisite a\nsession required b\n", {"a": "perm_denied"}, "a"),
        ("session required a\nsession required b\n", {"a": "perm_denied"}, "a b"),
        ("session [success=9] a\nsession required b\n", {}, "a"),
        ("session [success=1] a\nsession substack sub\nsession required c\n", {}, "a c"),
        ("session required a\nsession substack sub\nsession required c\n", {}, "a x c"),
        ("session [success=1] a\nsession substack sub\nsession substack sub\nsession required c\n", {}, "a x c"),
        ("session substack far\nsession required b\nsession required c\n", {}, "z b c"),
        ("session required a\nsession include sub\nsession required c\n", {}, "a x"),
    ],
)
def test_the_lines_that_are_called(
    write: Write, tmp_path: Path, text: str, answers: dict[str, str], expected: str
) -> None:
    write(sub="session sufficient x\nsession required y\n", far="session [success=2] z\nsession required y\n")
    assert names(text, tmp_path, **answers) == expected


def test_our_own_profile_leads_each_where_it_should(write: Write, tmp_path: Path) -> None:
    """As pam-auth-update writes it, pam_systemd behind it."""
    of = profile.Options(1000, 59999, (1003,), "/cgroup/tree/penalty", "/run/paas-isolate/doors")
    own = [line.replace("success=end", "success=2") for line in profile.lines(of, ("@sudo", "admin"))]
    text = "".join(f"session {line}\n" for line in own) + "session optional pam_systemd.so\n"
    assert [line.said for line in lines_of(text, tmp_path)] == [*own, "optional pam_systemd.so"]

    def leads(**answers: str) -> str:
        return names(text, tmp_path, **{f"pam_{module}.so": answer for module, answer in answers.items()})

    assert profile.MODULE not in leads(succeed_if="success")
    assert leads(succeed_if="success").endswith("pam_permit.so pam_systemd.so")
    assert leads(succeed_if="auth_err").endswith(f"{profile.MODULE} pam_permit.so")
    assert leads(succeed_if="auth_err", paas_isolate="ignore").endswith("isolate.so pam_permit.so pam_systemd.so")
    assert leads(succeed_if="auth_err", paas_isolate="perm_denied").endswith(profile.MODULE)
    assert leads(succeed_if="auth_err", paas_isolate="open_err", deny="session_err").endswith("pam_deny.so")


def lines_of(text: str, place: Path) -> tuple[Line, ...]:
    (place / "ours").write_text(text)
    return lines("ours", confdir=str(place))
