"""scripts/install --destdir: what it writes, what it leaves alone, and that --remove removes all of it."""

import ast
import importlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]
CONFIG = "etc/paas-isolate/config.yaml"
LAUNCHER, KEEPER = "usr/local/sbin/paas-enter", "usr/local/sbin/paas-run"
CRON = "etc/cron.d/paas-isolate"
CRON_LINE = "* * * * * root /usr/local/bin/paas-isolate reconcile --cron"


LINE = "session [success=1 default=ignore] pam_paas_isolate.so\n"


class Installer:
    """A source tree of its own, and the directory that it installs to."""

    def __init__(self, scratch: Path) -> None:
        self.source = scratch / "source"
        self.root = scratch / "root"
        for part in ("scripts/install", "scripts/install.d", "systemd", "config/cron.d", "pam"):
            (self.source / part).parent.mkdir(parents=True, exist_ok=True)
            if (HERE / part).is_dir():
                shutil.copytree(HERE / part, self.source / part)
            else:
                shutil.copy2(HERE / part, self.source / part)
        self.default("config/config.yaml", "users: {first_uid: 1000}\n")
        self.default("config/plans.d/small.yaml", "plan: small\n")
        self.default("config/accounts.d/intranet.yaml", "account: intranet\n")
        self.default("config/hooks/suspend", "#!/bin/sh\n")
        self.default("config/examples/uwsgi/uwsgi@.service", "[Service]\n")
        (self.source / "config/hooks/suspend").chmod(0o755)
        self.default("man/paas-isolate.8", ".TH PAAS-ISOLATE 8\n")
        self.built = scratch / "built"
        self.default("../built/pam_paas_isolate.so", "module\n")
        self.default("../built/paas-enter", "launcher\n")
        self.default("../built/paas-run", "keeper\n")

    def default(self, path: str, text: str) -> None:
        (self.source / path).parent.mkdir(parents=True, exist_ok=True)
        (self.source / path).write_text(text)

    def __call__(
        self, *options: str, venv: bool = False, compiles: bool = False, code: int = 0, path: str = os.environ["PATH"]
    ) -> str:
        line: list[str | Path] = [self.source / "scripts/install", "--destdir", self.root, *options]
        if "--remove" not in options:
            line += [] if venv else ["--no-venv"]
            line += [] if compiles else ["--built", self.built]
        environment = {**os.environ, "PATH": path}
        done = subprocess.run(line, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
        assert done.returncode == code, done.stdout
        return done.stdout

    def there(self) -> dict[str, tuple[int, int, bytes]]:
        """Everything below root: path -> mode, time of change, content."""
        files = {}
        for path in sorted(self.root.rglob("*")):
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
            files[str(path.relative_to(self.root))] = (status.st_mode, status.st_mtime_ns, content)
        return files

    def module(self) -> Path:
        """Its path: where this machine has pam_unix.so, if there is none below root."""
        (found,) = self.root.rglob("security/pam_paas_isolate.so")
        return found

    def edit(self, path: str, text: str) -> None:
        (self.root / path).write_text(text)

    def read(self, path: str) -> str:
        return (self.root / path).read_text()


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Installer]:
    umask = os.umask(0o077)
    yield Installer(tmp_path)
    os.umask(umask)


def test_everything_has_its_place_and_its_mode_whatever_the_umask(install: Installer) -> None:
    install()
    modes = {path: stat.S_IMODE(mode) for path, (mode, _, _) in install.there().items()}
    assert modes["etc/paas-isolate/accounts.d"] == modes["etc/paas-isolate/plans.d"] == 0o700
    assert modes["var/lib/paas-isolate"] == 0o700
    assert modes["usr/local/share/doc/paas-isolate/examples/hooks/suspend"] == 0o755
    assert modes[LAUNCHER] == 0o755
    for path in (
        CONFIG,
        CRON,
        "etc/paas-isolate/plans.d/small.yaml",
        "etc/systemd/system/paas-isolate-boot.service",
        "etc/systemd/system/paas-isolate-daemon.service",
        "etc/systemd/system/paas-isolate-network.service",
        "etc/systemd/system/paas-isolate-shutdown.service",
        "etc/systemd/system/paas-isolate.service",
        "etc/systemd/system/paas-isolate.timer",
        "etc/systemd/system/paas-tree.service",
        "etc/systemd/system/paas.slice",
        "etc/tmpfiles.d/paas-isolate.conf",
        str(install.module().relative_to(install.root)),
        "usr/local/share/doc/paas-isolate/examples/accounts.d/intranet.yaml",
        "usr/local/share/doc/paas-isolate/examples/uwsgi/uwsgi@.service",
        "usr/local/share/man/man8/paas-isolate.8",
    ):
        assert modes[path] == 0o644, path
    assert not (install.root / "etc/paas-isolate/accounts.d/intranet.yaml").exists()


def test_the_manifest_names_all_that_is_there_and_nothing_else(install: Installer) -> None:
    install()
    listed = {line.partition(" ")[2].lstrip("/") for line in install.read("opt/paas-isolate/manifest").splitlines()}
    lists = {"opt/paas-isolate/manifest", "var/lib/paas-isolate/installed", ""}
    assert listed | lists == set(install.there()) | {""}


def test_a_second_time_changes_nothing_and_says_so(install: Installer) -> None:
    install()
    before = install.there()
    assert "nothing changed" in install()
    assert install.there() == before


def test_removing_and_purging_leaves_nothing(install: Installer) -> None:
    install()
    install("--remove", "--purge")
    assert install.there() == {}


def test_removing_keeps_configuration_and_lets_it_be_known_again(install: Installer) -> None:
    install()
    install("--remove")
    assert {path for path in install.there() if (install.root / path).is_file()} == {
        CONFIG,
        "etc/paas-isolate/plans.d/small.yaml",
        "var/lib/paas-isolate/installed",
    }
    install.default("config/config.yaml", "users: {first_uid: 2000}\n")
    install()
    assert install.read(CONFIG) == "users: {first_uid: 2000}\n"


def test_removing_leaves_directories_and_files_of_others(install: Installer) -> None:
    (install.root / "etc/cron.d").mkdir(parents=True)
    (install.root / "opt").mkdir()
    install()
    (install.root / "usr/local/share/man/man8/other.8").write_text("")
    install("--remove", "--purge")
    assert set(install.there()) == {
        "etc",
        "etc/cron.d",
        "opt",
        "usr",
        "usr/local",
        "usr/local/share",
        "usr/local/share/man",
        "usr/local/share/man/man8",
        "usr/local/share/man/man8/other.8",
    }


def test_removing_what_is_not_there(install: Installer) -> None:
    assert "nothing to remove" in install("--remove")


def test_removing_waits_for_the_pam_module_to_be_taken_out(install: Installer) -> None:
    install()
    stack = install.root / "etc/pam.d/common-session"
    stack.parent.mkdir()
    stack.write_text(LINE)
    assert f"{install.root}/etc/pam.d" in install("--remove", code=1)
    assert install.module().exists()
    stack.write_text(f"# {LINE}")
    install("--remove")


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        (": >$STACK; echo said", "takes pam_paas_isolate out"),
        ("echo administrator logs in; exit 5", "pam remove says: administrator logs in"),
        (":", "still names pam_paas_isolate"),
    ],
)
def test_removing_takes_the_module_out_of_the_stacks_first(tmp_path: Path, remove: str, message: str) -> None:
    stack, command = tmp_path / "pam.d/common-session", tmp_path / "venv/bin/paas-isolate"
    stack.parent.mkdir()
    stack.write_text(LINE)
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\n[ "$*" = "pam remove" ] || exit 9\n{remove}\n')
    command.chmod(0o755)
    parts = HERE / "scripts/install.d"
    script = f". {parts}/files.sh; . {parts}/python.sh; . {parts}/remove.sh; destdir=''; "
    script += f"stacks={stack.parent} venv={tmp_path}/venv; leave_stacks; leave_stacks; echo gone on"
    words = ["bash", "-euc", script]
    done = subprocess.run(words, text=True, capture_output=True, env={**os.environ, "STACK": str(stack)})
    assert message in done.stdout + done.stderr
    assert ("gone on" in done.stdout) == (stack.read_text() == "")
    assert done.returncode == (0 if "gone on" in done.stdout else 1)


def imported(program: ast.Module) -> dict[str, object]:
    names = {}
    for node in ast.walk(program):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("paas_isolate"):
            for alias in node.names:
                with suppress(ModuleNotFoundError):
                    importlib.import_module(f"{node.module}.{alias.name}")
                names[alias.name] = getattr(importlib.import_module(str(node.module)), alias.name)
    return names


def test_programs_within_the_scripts_use_what_the_package_has() -> None:
    """They run on a machine that is being cleared, where an error in one is passed over."""
    texts = [script.read_text() for script in (HERE / "scripts/install.d").glob("*.sh")]
    programs = [ast.parse(text) for script in texts for text in re.findall(r"<<'END'.*\n((?:.*\n)*?)END\n", script)]
    names = {name: value for program in programs for name, value in imported(program).items()}
    assert {"nft", "Links", "QuotaStore"} <= names.keys()
    for node in (node for program in programs for node in ast.walk(program)):
        if isinstance(node, ast.Attribute):
            of = node.value.func if isinstance(node.value, ast.Call) else node.value
            assert not isinstance(of, ast.Name) or of.id not in names or hasattr(names[of.id], node.attr), node.attr


def test_a_new_default_replaces_the_old_one(install: Installer) -> None:
    install()
    install.default("config/config.yaml", "users: {first_uid: 2000}\n")
    assert "writes /etc/paas-isolate/config.yaml" in install()
    assert install.read(CONFIG) == "users: {first_uid: 2000}\n"
    assert not (install.root / f"{CONFIG}.new").exists()


def test_an_edited_file_is_kept_and_a_new_default_comes_beside_it(install: Installer) -> None:
    install()
    install.edit(CONFIG, "mine: true\n")
    assert "as you edited it" in install()
    assert not (install.root / f"{CONFIG}.new").exists(), "this default it has seen already"

    install.default("config/config.yaml", "users: {first_uid: 2000}\n")
    install()
    before = install.there()
    assert install.read(CONFIG) == "mine: true\n"
    assert install.read(f"{CONFIG}.new") == "users: {first_uid: 2000}\n"
    assert "nothing changed" in install()
    assert install.there() == before


def test_an_upgrade_closes_what_everybody_could_look_into(install: Installer) -> None:
    for name, mode in (("accounts.d", 0o755), ("plans.d", 0o2775)):
        directory = install.root / "etc/paas-isolate" / name
        directory.mkdir(parents=True)
        directory.chmod(mode)
    install()
    modes = [
        stat.S_IMODE((install.root / "etc/paas-isolate" / name).stat().st_mode) for name in ("accounts.d", "plans.d")
    ]
    assert modes == [0o750, 0o2770]  # a group that an administrator gave it stays


def test_what_was_there_before_the_first_installation_counts_as_edited(install: Installer) -> None:
    (install.root / CONFIG).parent.mkdir(parents=True)
    install.edit(CONFIG, "mine: true\n")
    install()
    assert install.read(CONFIG) == "mine: true\n"
    assert (install.root / f"{CONFIG}.new").exists()


def test_a_plan_that_was_deleted_stays_deleted_but_a_unit_comes_back(install: Installer) -> None:
    install()
    plan, unit = install.root / "etc/paas-isolate/plans.d/small.yaml", install.root / "etc/systemd/system/paas.slice"
    plan.unlink()
    unit.unlink()
    install()
    assert not plan.exists()
    assert unit.exists()


def test_what_a_later_version_has_no_more_goes_unless_edited(install: Installer) -> None:
    install.default("config/plans.d/large.yaml", "plan: large\n")
    install.default("man/old.5", "")
    install()
    install.edit("etc/paas-isolate/plans.d/large.yaml", "plan: mine\n")
    for gone in ("config/plans.d/large.yaml", "config/plans.d/small.yaml", "man/old.5"):
        (install.source / gone).unlink()
    install()
    there = install.there()
    assert "etc/paas-isolate/plans.d/large.yaml" in there
    assert "etc/paas-isolate/plans.d/small.yaml" not in there
    assert "usr/local/share/man/man5/old.5" not in there


def test_a_broken_installation_is_mended(install: Installer) -> None:
    unit = install.source / "systemd/paas.slice"
    text = unit.read_text()
    unit.unlink()
    unit.symlink_to("nowhere")
    install(code=1)
    unit.unlink()
    unit.write_text(text)
    install()
    assert "complete /" in install.read("opt/paas-isolate/manifest")
    install("--remove", "--purge")
    assert install.there() == {}


def test_a_broken_installation_can_be_removed(install: Installer) -> None:
    (install.source / "systemd/paas.slice").unlink()
    (install.source / "systemd/paas.slice").symlink_to("nowhere")
    install(code=1)
    install("--remove", "--purge")
    assert install.there() == {}


@pytest.mark.parametrize(("by", "line"), [("cron", CRON_LINE), ("timer", f"#{CRON_LINE}"), ("none", f"#{CRON_LINE}")])
def test_the_cron_line_is_active_when_chosen_and_stays_so(install: Installer, by: str, line: str) -> None:
    install("--every-minute-by", by)
    assert line in install.read(CRON).splitlines()
    install()
    assert line in install.read(CRON).splitlines()


def test_an_edited_cron_file_keeps_its_words_when_the_choice_changes(install: Installer) -> None:
    install("--every-minute-by=cron")
    install.edit(CRON, "MAILTO=admin\n*/5 * * * * root /usr/local/bin/paas-isolate reconcile --cron\n")
    install("--every-minute-by=timer")
    assert install.read(CRON) == ("MAILTO=admin\n#*/5 * * * * root /usr/local/bin/paas-isolate reconcile --cron\n")
    install("--every-minute-by=cron")
    assert "\n*/5 * * * * root" in install.read(CRON)


def test_an_edited_file_elsewhere_is_put_aside_on_removal(install: Installer) -> None:
    install()
    install.edit(CRON, f"MAILTO=admin\n{CRON_LINE}\n")
    install("--remove")
    assert not (install.root / CRON).exists()
    assert install.read("etc/paas-isolate/edited/paas-isolate").startswith("MAILTO=admin")


COMPILER = shutil.which("gcc")
CAN_COMPILE = COMPILER and shutil.which("make") and Path("/usr/include/security/pam_modules.h").exists()


@pytest.mark.skipif(not CAN_COMPILE, reason="gcc, make or libpam0g-dev is not installed")
def test_the_module_and_the_launcher_are_compiled_only_when_their_source_changed(
    install: Installer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three times in this test: without optimization, that takes half the time.
    (tmp_path / "cc").write_text(f'#!/bin/sh\nexec {COMPILER} "$@" -O0\n')
    (tmp_path / "cc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def compiles() -> str:
        return install(compiles=True, path=os.environ["PATH"])

    def built() -> tuple[bytes, int, int, int]:
        launcher, shim = ((install.root / name).stat().st_ino for name in (LAUNCHER, KEEPER))
        return install.module().read_bytes(), install.module().stat().st_ino, launcher, shim

    sources = sorted((install.source / "pam").rglob("*"))
    assert "compiles the PAM module" in compiles()
    assert sorted((install.source / "pam").rglob("*")) == sources, "the source tree stays clean"
    assert "Usage: paas-enter" in subprocess.check_output([install.root / LAUNCHER, "--help"], text=True)
    keeper = subprocess.run([install.root / KEEPER], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (keeper.returncode, keeper.stderr.partition(":")[0]) == (125, "paas-run")
    module, *inodes = built()
    assert int.from_bytes(module[32:40], "little") > len(module) // 2, "sealed: program headers at the end"

    before = install.there()
    assert "nothing changed" in compiles()
    assert install.there() == before

    with (install.source / "pam/common/leaf.h").open("a") as source:
        source.write("/* as good as before */\n")
    assert "compiles the PAM module" in compiles()
    assert [*built()] == [module, *inodes], "the same again is not written"

    install.module().write_bytes(module[:1000])
    assert "pam_paas_isolate.so" in compiles()
    assert built()[0] == module
    assert built()[1] != inodes[0], "renamed over, for who has it open"


def test_without_a_compiler_it_says_what_to_do(install: Installer, tmp_path: Path) -> None:
    poor = tmp_path / "bin"
    poor.mkdir()
    for program in (*Path("/usr/bin").iterdir(), *Path("/bin").iterdir()):
        if program.name not in ("gcc", "make") and not (poor / program.name).is_symlink():
            (poor / program.name).symlink_to(program)
    output = install(compiles=True, path=str(poor), code=1)
    assert "--built DIR" in output
    assert "apt-get install gcc make libc6-dev libpam0g-dev" in output
    install(path=str(poor))
    assert install.module().read_text() == "module\n"


@pytest.mark.parametrize("wheels", ["", "/some/wheels"])
def test_where_anything_may_be_fetched_the_compiler_is(tmp_path: Path, wheels: str) -> None:
    (tmp_path / "apt-get").write_text('#!/bin/sh\necho "fetched: $*"\n')
    (tmp_path / "apt-get").chmod(0o755)
    parts = HERE / "scripts/install.d"
    script = f". {parts}/files.sh; . {parts}/native.sh; wheels={wheels} destdir='' lock_fd=9; need_compiler 9</dev/null"
    done = subprocess.run(["/bin/bash", "-euc", script], text=True, capture_output=True, env={"PATH": str(tmp_path)})
    if wheels:
        assert (done.returncode, done.stdout) == (1, "")
        assert "apt-get install gcc make libc6-dev libpam0g-dev" in done.stderr
    else:
        assert "fetched: install --yes --quiet --no-install-recommends gcc make libc6-dev libpam0g-dev" in done.stdout


def test_the_module_goes_where_pam_unix_lies_in_an_image(install: Installer) -> None:
    unix = install.root / "usr/lib/some-triplet/security/pam_unix.so"
    unix.parent.mkdir(parents=True)
    unix.touch()
    install()
    assert install.module() == unix.with_name("pam_paas_isolate.so")
    install("--remove", "--purge")
    assert list(unix.parent.iterdir()) == [unix]


@pytest.mark.parametrize(
    ("library", "there"), [("252.so", True), ("253.1.so", True), ("254.so", False), ("257.so", False)]
)
def test_the_drop_in_for_a_systemd_without_subgroups(install: Installer, library: str, there: bool) -> None:
    place = install.root / "usr/lib/x86_64-linux-gnu/systemd"
    place.mkdir(parents=True)
    (place / f"libsystemd-shared-{library}").touch()
    install()
    assert (install.root / "etc/systemd/system/paas-tree.service.d/before-254.conf").exists() == there


def test_help_names_every_option(install: Installer) -> None:
    output = install("--help")
    for option in (
        "--every-minute-by",
        "--wheels",
        "--wheel ",
        "--built",
        "--no-venv",
        "--destdir",
        "--force",
        "--remove",
        "--purge",
    ):
        assert option in output


@pytest.mark.parametrize("options", [["--purge"], ["--colour"], ["--every-minute-by", "magic"]])
def test_wrong_usage(install: Installer, options: list[str]) -> None:
    assert "--help" in install(*options, code=2)
    assert not install.root.exists()


def test_no_unit_owns_the_directory_of_the_doors() -> None:
    for unit in (HERE / "systemd").glob("*.service"):
        settings = [line for line in unit.read_text().splitlines() if not line.startswith("#")]
        assert not [line for line in settings if line.startswith("RuntimeDirectory")], unit


def wheel(place: Path, version: str, *, needs: str = "") -> Path:
    """A wheel with this package's name, whose command prints the version."""
    made = place / f"paas_isolate-{version}-py3-none-any.whl"
    about = f"paas_isolate-{version}.dist-info"
    files = {
        "paas_isolate.py": f"def main():\n    print({version!r})\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: paas-isolate\nVersion: {version}\n{needs}",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": "[console_scripts]\npaas-isolate = paas_isolate:main\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(made, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)
    return made


@pytest.mark.skipif(importlib.util.find_spec("ensurepip") is None, reason="python3-venv is not installed")
def test_the_package_in_its_own_environment(install: Installer, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "1.0", needs='Requires-Dist: dev-only; extra == "dev"\n')
    install("--wheels", str(wheels), venv=True)
    venv = install.root / "opt/paas-isolate/venv"
    assert (install.root / "usr/local/bin/paas-isolate").readlink() == Path("/opt/paas-isolate/venv/bin/paas-isolate")
    assert (venv / "bin/paas-isolate").read_text().startswith("#!/opt/paas-isolate/venv/bin/python")
    before = install.there()
    assert "nothing changed" in install("--wheels", str(wheels), venv=True)
    assert install.there() == before

    wheel(wheels, "1.10")
    wheel(wheels, "1.9")
    assert "installs paas_isolate-1.10" in install("--wheels", str(wheels), venv=True)
    output = subprocess.check_output(
        [venv / "bin/python", "-IBc", "import paas_isolate; paas_isolate.main()"], text=True
    )
    assert output == "1.10\n"

    wheel(wheels, "2.0", needs="Requires-Dist: not-in-this-directory>=1\n")
    assert "not-in-this-directory" in install("--wheels", str(wheels), venv=True, code=1)
    install("--remove", "--purge")
    assert install.there() == {}
