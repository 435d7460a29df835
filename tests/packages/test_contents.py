"""What goes into the packages, and what the program and its files say of where it is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2]
DEBIAN = SOURCE / "packaging" / "debian"
CRON = SOURCE / "config" / "cron.d" / "paas-isolate"


def lines(name: str) -> list[str]:
    return (DEBIAN / name).read_text().split()


def test_every_manual_page_is_in_a_package() -> None:
    listed = lines("paas-isolate.manpages") + lines("libpam-paas-isolate.manpages")
    assert sorted(listed) == sorted(str(path.relative_to(SOURCE)) for path in SOURCE.glob("man/*.[1-8]"))


def test_the_packages_depend_on_what_the_program_requires() -> None:
    control = (DEBIAN / "control").read_text()
    required = re.search(r"dependencies = \[(.*?)\]", (SOURCE / "pyproject.toml").read_text(), re.S)
    assert required
    names = {name.lower() for name in re.findall(r'"([A-Za-z0-9]+)>=', required[1])}
    debian = {"pyyaml": "yaml"}
    depends = set(re.findall(r"python3-(\w+) \(>=", control)) | {"cronsim"}
    assert {debian.get(name, name) for name in names} == depends


def test_the_oldest_versions_are_those_that_the_tests_run_with() -> None:
    listed = (SOURCE / "packaging" / "libraries" / "bookworm.txt").read_text()
    tested = {name.lower(): version for name, version in re.findall(r"^(\w+)==(\S+)$", listed, re.M)}
    project = (SOURCE / "pyproject.toml").read_text()
    required = re.findall(r'^    "(\w+)>=([\d.]+)",$', project.partition("[project.optional")[0], re.M)
    assert len(required) == 6
    assert all(tested[name.lower()] == version for name, version in required)
    packaged = re.findall(
        r"python3-(\w+) \(>= ([\d.]+)\)", (DEBIAN / "control").read_text() + (DEBIAN / "rules").read_text()
    )
    assert len(packaged) == 6
    assert all(tested[name.replace("yaml", "pyyaml")] == version for name, version in packaged)


@pytest.mark.parametrize("path", [*SOURCE.glob("systemd/**/*.*"), *SOURCE.glob("config/**/*"), *SOURCE.glob("man/*")])
def test_paths_are_those_of_the_distribution(path: Path) -> None:
    if path.is_file():
        assert not re.search(r"/usr/local/(s?bin|share)/\w*paas|/opt/paas|/usr/local/share/doc/paas", path.read_text())


def test_cron_does_nothing_before_it_is_enabled_and_after_a_removal(tmp_path: Path) -> None:
    (line,) = [line for line in CRON.read_text().splitlines() if line.startswith("*")]
    command = line.partition(" root ")[2]
    program, mark = tmp_path / "paas-isolate", tmp_path / "cron"
    command = command.replace("/usr/bin/paas-isolate", str(program)).replace("/var/lib/paas-isolate/cron", str(mark))

    def runs() -> str:
        return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout

    mark.touch()
    assert runs() == ""
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    assert runs() == "reconcile --cron\n"
    mark.unlink()
    assert runs() == ""


def test_completions_call_the_program(tmp_path: Path) -> None:
    subprocess.run([sys.executable, SOURCE / "packaging" / "completions.py", tmp_path], check=True)
    made = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(made) == 3
    assert all("_PAAS_ISOLATE_COMPLETE=" in text and "paas-isolate" in text for text in made.values())


def test_no_conffile_but_what_an_administrator_edits() -> None:
    rules = (DEBIAN / "rules").read_text()
    assert set(re.findall(r"\$\(PROGRAM\)/etc/(\S+)", rules)) == {
        "paas-isolate/config.yaml",
        "cron.d",
        "needrestart/conf.d/paas-isolate.conf",
    }


@pytest.mark.parametrize("script", sorted(DEBIAN.glob("*.p*[tm]")))
def test_no_maintainer_script_stops_or_restarts_the_tree(script: Path) -> None:
    assert not re.search(r"(?:stop|restart) \S*paas(?:-tree|\.slice)", script.read_text())


def test_the_page_is_a_package_of_its_own() -> None:
    rules, listed = (DEBIAN / "rules").read_text(), lines("paas-isolate-web.install")
    apart = re.search(r"PACKAGES_OF_WEB := (.*)", rules)
    assert apart
    assert [f"paas_isolate/{name}" for name in apart[1].split()] == listed[::2]
    control = (DEBIAN / "control").read_text().partition("Package: paas-isolate-web\n")[2].partition("\n\n")[0]
    assert all(f"python3-{name}" in control for name in ("starlette", "uvicorn", "pampy", "six"))


def test_nothing_of_the_page_starts_by_itself() -> None:
    scripts = "".join(path.read_text() for path in DEBIAN.glob("paas-isolate-web.p*"))
    assert not re.search(r"systemctl[^\n]* (enable|start|preset)\b", scripts)
