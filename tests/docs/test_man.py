"""The manual pages and the programs agree on every verb, option, key, default and JSON key."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
from documentation.reference import pages

from paas_isolate import full_pass
from paas_isolate.changes.conditions import Condition
from paas_isolate.changes.origin import OriginKind
from paas_isolate.changes.placement import Placement
from paas_isolate.changes.removal import Removals
from paas_isolate.cli import check
from paas_isolate.cli import coverage as coverage_room
from paas_isolate.cli.commands import VERBS, paas_isolate
from paas_isolate.compare import Comparison
from paas_isolate.daemon.account_report import AccountReport
from paas_isolate.daemon.limit_events import LimitEvent
from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.errors import Complaint
from paas_isolate.exits import Exit
from paas_isolate.linux.pam.profile import SERVICES
from paas_isolate.metering import report
from paas_isolate.metering.advice import Advice, Hurt, Need
from paas_isolate.metering.bill import Line
from paas_isolate.metering.explanation import Finding
from paas_isolate.metering.use import Use
from paas_isolate.model.account import Fleet, Host
from paas_isolate.model.knobs import DEFAULTS, SUBTREE_CONTROL
from paas_isolate.model.limits import LIMITS
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.model.run import ProgramExit, Result
from paas_isolate.model.steps.cgroup import RemoveCgroup
from paas_isolate.model.world import DesiredWorld, ObservedWorld, Process
from paas_isolate.reconcile import Report
from paas_isolate.spec.schema import schema
from paas_isolate.usage import CgroupStatus, Usage

SOURCE = Path(__file__).resolve().parents[2]
COMMAND, LANGUAGE = SOURCE / "man" / "paas-isolate.8", SOURCE / "man" / "paas-isolate.yaml.5"
MODULE, LAUNCHER = SOURCE / "man" / "pam_paas_isolate.8", SOURCE / "man" / "paas-enter.8"
KEEPER = SOURCE / "man" / "paas-run.8"
PAGES = (
    *sorted(SOURCE.glob("docs/**/*.md")),
    *(SOURCE / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
)

UNITS = {
    "CPU_TIME": "CPU time",
    "CORES": "cores",
    "WEIGHT": "A weight",
    "SIZE": "A size",
    "RATE": "A rate",
    "COUNT": "A count",
    "KILL": "leaf, all processes",
    "PATH": "A path",
}


def plain(source: str) -> str:
    """mdoc as words: macros of fonts gone, the blank before a full stop too."""
    text = re.sub(r"^\.(?:Li|Ic|Em|Pa|Xr|Sx|Cm|Fl|Ar|Nm|Sy) ?", "", source, flags=re.MULTILINE)
    text = text.replace(r"\(dq", '"').replace("\n", " ")
    return re.sub(r" ([.,;:])(?= |$)", r"\1", text)


@cache
def sections(page: Path) -> dict[str, str]:
    parts = re.split(r"^\.Sh (.+)$", page.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def first_list(text: str) -> str:
    """Up to the end of its first list, with the lists inside of that."""
    depth, lines = 0, []
    for line in text.splitlines(keepends=True):
        depth += line.startswith(".Bl ") - line.startswith(".El")
        if line.startswith(".El") and not depth:
            break
        lines.append(line)
    return "".join(lines)


@cache
def entries(section: str) -> dict[str, str]:
    """Key -> what the page says of it, in one section of paas-isolate.yaml(5)."""
    parts = re.split(r"^\.It Ic (.+)$", first_list(sections(LANGUAGE)[section]), flags=re.MULTILINE)
    return {key: plain(said) for key, said in zip(parts[1::2], parts[2::2], strict=True)}


def keys(table: dict[str, Any], before: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The keys of a table of the schema, each with its schema. Limits and services have sections of their own."""
    for name, told in table.get("properties", {}).items():
        yield before + name, told
        if name not in ("limits", "penalty", "services"):
            yield from keys(told, f"{before}{name}.")


def documents() -> Iterator[tuple[str, str, dict[str, Any]]]:
    defined = schema()["$defs"]
    service = defined["account"]["properties"]["services"]["additionalProperties"]
    tables = (
        ("THE MACHINE", defined["host"]),
        ("PLANS", defined["plan"]),
        ("ACCOUNTS", defined["account"]),
        ("SERVICES", service),
    )
    for section, table in tables:
        for found in keys(table):
            yield section, *found


ALL_KEYS = [pytest.param(*found, id=f"{found[0]}: {found[1]}") for found in documents()]


@pytest.mark.parametrize(("section", "key", "told"), ALL_KEYS)
def test_every_key_is_in_the_manual_with_its_default(section: str, key: str, told: dict[str, Any]) -> None:
    said = entries(section)[key]
    assert "Not enforced by this version." not in said
    default = told.get("default")
    if isinstance(default, dict):
        assert all(str(value) in said for value in leaves(default))
    elif default is not None:
        assert f"Default: {default if isinstance(default, str) else json.dumps(default)}." in said


def leaves(default: dict[str, Any]) -> Iterator[object]:
    for value in default.values():
        yield from leaves(value) if isinstance(value, dict) else (value,)


def test_the_manual_has_no_other_keys() -> None:
    known = {(section, key) for section, key, *_ in documents()}
    for section in ("THE MACHINE", "PLANS", "ACCOUNTS", "SERVICES"):
        assert {(section, key) for key in entries(section)} <= known
    assert set(entries("LIMITS")) == {limit.name for limit in LIMITS}


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_every_limit_is_in_the_manual_with_unit_and_knob(limit: Any) -> None:
    said = entries("LIMITS")[limit.name]
    assert f"Kernel: {limit.knob}" in said
    assert UNITS[limit.unit.name] in said
    assert ("or unlimited" in said) == limit.unlimited
    assert ("percent of the" in said) == bool(limit.percent_of)


def verbs() -> dict[str, click.Command]:
    context = click.Context(paas_isolate, **paas_isolate.context_settings)
    return {verb: found for verb in VERBS if (found := paas_isolate.get_command(context, verb))}


def options(command: click.Command) -> set[str]:
    """With those of its subcommands."""
    below = command.commands.values() if isinstance(command, click.Group) else ()
    own = {name for each in command.params if isinstance(each, click.Option) for name in each.opts}
    return own.union(*map(options, below))


@cache
def told_of(verb: str) -> str:
    parts = re.split(r"^\.Ss (.+)$", sections(COMMAND)["COMMANDS"], flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[verb]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_its_options_are_in_the_manual(verb: str) -> None:
    assert f".Cm {verb}\n" in sections(COMMAND)["SYNOPSIS"]
    listed = re.findall(r"^\.It (Fl .+)$", told_of(verb), flags=re.MULTILINE)
    told = {f"-{name}" for line in listed for name in re.findall(r"Fl (\S+)", line)}
    assert told == options(verbs()[verb])


def test_global_options_are_in_the_manual() -> None:
    described = sections(COMMAND)["DESCRIPTION"]
    assert all(f"Fl {name[1:]}" in described for name in options(paas_isolate))


def test_every_exit_status_is_told() -> None:
    said = sections(COMMAND)["EXIT STATUS"]
    assert re.findall(r"^\.It (\d+)$", said, flags=re.MULTILINE) == [str(int(each)) for each in Exit]
    page = (SOURCE / "docs/reference/exit-statuses.md").read_text()
    assert re.findall(r"^\| (\d+) \|", page, flags=re.MULTILINE) == [str(int(each)) for each in Exit]


def test_json_keys_are_told() -> None:
    said = sections(COMMAND)["JSON OUTPUT"]
    told = set(re.findall(r"^\.It Li (\S+) Ta ", said, flags=re.MULTILINE))
    assert {*Complaint._fields} <= told
    for data in (CgroupStatus, Usage, Check):
        assert {field.name for field in fields(data)} <= told
    assert all(re.search(rf"\b{word}\b", said) for word in (*Status, *Verdict, *OriginKind) if word)
    assert all(re.search(rf"\.Li {re.escape(knob)}[ \n]", said) for knob in (*DEFAULTS, SUBTREE_CONTROL))


def test_json_of_each_command_is_told_whole() -> None:
    fleet, seen = Fleet(Host(), {}), Comparison(ObservedWorld(), DesiredWorld(), (), Removals())
    step = Outcome(RemoveCgroup("users/alice"), Status.DONE)
    process = coverage_room._process_data(Placement(fleet), coverage_room.Family(fleet), Process(1, 1000, "/"))
    outcome = full_pass.outcome_data(step)
    assert json_keys("check") == [*check._data(fleet)]
    assert json_keys("diff") == ["changes", *full_pass.circumstances(fleet, seen)]
    assert json_keys("reconcile") == [*full_pass.report_data(fleet, Report((), seen, ())), *outcome]
    assert json_keys("me") == [*AccountReport._fields, *LimitEvent._fields]
    assert json_keys("status")[:2] == ["cgroups", "notes"]
    assert json_keys("coverage") == ["confined", "total", "left", "processes", *process]
    keys = ["account", "leaf", "plan", "time", *report.plain(Use()), "label", "value", "accounts"]
    assert json_keys("usage")[4:] == keys
    assert json_keys("bill")[10:] == [*Line._fields]
    assert json_keys("explain")[8:] == [*Finding._fields]
    assert json_keys("advise")[:7] == [*Advice._fields]
    assert json_keys("advise")[7:13] == [*Need._fields]
    assert {*json_keys("advise")[13:]} == {*Hurt._fields, "hurt"}
    assert json_keys("doctor") == [field.name for field in fields(Check)]


def json_keys(verb: str) -> list[str]:
    parts = re.split(r"^\.Ss (.+)$", sections(COMMAND)["JSON OUTPUT"], flags=re.MULTILINE)
    said = dict(zip(parts[1::2], parts[2::2], strict=True))[verb]
    return re.findall(r"^\.It Li (\S+) Ta ", said, flags=re.MULTILINE)


def test_options_of_the_module_are_in_the_manual_with_their_defaults() -> None:
    source = (SOURCE / "pam/module/options.c").read_text()
    said = sections(MODULE)["OPTIONS"]
    known = set(re.findall(r'str(?:n)?cmp\(word, "([a-z_]+)=', source))
    assert set(re.findall(r"^\.It Cm (\w+)=|, Cm (\w+)=", said, flags=re.MULTILINE)) == {
        ("", "last_uid"),
        *((name, "") for name in known - {"last_uid"}),
    }
    assert all(f"Op Cm {name}=" in sections(MODULE)["SYNOPSIS"] for name in known)
    (initial,) = re.findall(r"struct options options = \{(.*?)\};", source, re.S)
    assert all(value.strip('"') in said for value in re.findall(r"= ([^,\n]+)", initial))
    assert set(re.findall(r"on_failure=(\w+)", source)) == set(re.findall(r"It Cm on_failure=(\w+)", said))


def test_the_module_says_for_which_services_and_in_which_words() -> None:
    told = (
        plain(sections(MODULE)["DESCRIPTION"].partition("Services whose")[2]).replace(",", "").split("Not daemons")[0]
    )
    assert set(told.rstrip(" .").split(": ")[1].split()) == set(SERVICES)
    source = (SOURCE / "pam/module/pam_paas_isolate.c").read_text()
    assert set(re.findall(r"return (PAM_\w+);", source)) == set(re.findall(r"^\.It Dv (\w+)", MODULE.read_text(), re.M))
    assert "This account is suspended. Please contact your hosting provider." in source
    assert "This account is suspended. Please contact your hosting provider." in MODULE.read_text()


def launcher_source(*names: str) -> str:
    return "".join((SOURCE / "pam" / "launchers" / name).read_text() for name in names)


def test_options_and_statuses_of_the_launcher_are_in_the_manual() -> None:
    source = launcher_source("privileges.h", "privileges.c", "paas-enter.c", "terminal.h")
    known = set(re.findall(r'\{"([a-z-]+)", (?:required|no)_argument, NULL, \'(\w)\'\}', source))
    said = sections(LAUNCHER)
    assert {
        (long, short) for short, long in re.findall(r"^\.It Fl (\w) , Fl -(\S+)", said["DESCRIPTION"], re.M)
    } == known
    assert all(f"--{long}" in source.partition("usage[]")[2] for long, _ in known)
    statuses = re.findall(r"(?:OWN_FAILURE|NOT_EXECUTABLE|NOT_FOUND|HUNG_UP) = (\d+)", source)
    assert re.findall(r"^\.It (\d+)$", said["EXIT STATUS"], re.M) == statuses
    (paths,) = re.findall(r'define PATHS "(.*)"', source)
    assert paths in said["DESCRIPTION"]
    kept = re.findall(r'setenv\("(\w+)"', source)
    assert all(f".Ev {name}" in said["DESCRIPTION"] for name in kept)


def test_what_the_keeper_notes_is_in_the_manual() -> None:
    source = launcher_source("paas-run.c", "shim.h", "shim.c")
    ours = (SOURCE / "paas_isolate/linux/services/records.py").read_text()
    services = (SOURCE / "paas_isolate/linux/services/steps.py").read_text()
    noted = {
        word for text in re.findall(r"\brecord_line\((.*?)\);", source, re.S) for word in re.findall(r'"([a-z]+)', text)
    }
    said = sections(KEEPER)
    told = set(re.findall(r"^\.It Li ([a-z-]+)(?: Ar .*)?$", said["DESCRIPTION"], re.M))
    assert noted == {"main", "unhealthy", "signal", "exit", "keeper", "waiting", "failed", "background"}
    assert told == set(re.findall(r'case \["([a-z-]+)"', ours)) >= noted
    assert set(re.findall(r'records\.add\(path, "([a-z-]+)"', services)) <= told
    assert set(re.findall(r'"(\w+)": ', ours)) == {"digest", "begun", "since", "failures", "starved", "last"}
    assert all(
        re.search(rf"^\.Li {key}\b", said["DESCRIPTION"], re.M)
        for key in ("digest", "begun", "since", "failures", "starved", "last")
    )
    assert re.findall(r"^\.It (\d+)$", said["EXIT STATUS"], re.M) == [
        "0",
        *re.findall(r"define LEAF_FULL (\d+)", source),
        "125",
    ]
    assert re.findall(r"define (?:LEAF|RECORD) (\d)", source) == ["3", "4"]


def test_what_a_program_finds_is_in_the_manual() -> None:
    kept = (SOURCE / "paas_isolate/changes/supervision.py").read_text()
    launcher = launcher_source("privileges.c")
    names = re.findall(r'yield \(?"([A-Z_0-9]+)"(?: if .* else "([A-Z]+)")?', kept)
    told = {name for pair in names for name in pair if name} | set(re.findall(r'setenv\("(\w+)"', launcher))
    lines = re.findall(r"^\.It Ev (.+)$", sections(LANGUAGE)["SERVICES THAT ARE RUN"], re.M)
    assert {name for line in lines for name in line.split(" , ")} == told


def test_states_of_a_service_are_in_the_manual() -> None:
    source = (SOURCE / "paas_isolate/changes/conditions.py").read_text().replace("\n", " ")
    (listed,) = re.findall(r"is one word: (.*?);", source)
    words = set(re.findall(r"[a-z]+", listed)) - {"or"}
    said = sections(COMMAND)["JSON OUTPUT"].partition(".Li service ,")[2].partition(".Ss ")[0]
    assert set(re.findall(r"^\.It Li ([a-z]+)$", said, re.M)) == words
    assert set(re.findall(r"^\.It Li ([a-z_]+) Ta", said, re.M)) == set(Condition._fields)
    last = said.partition("\n.Li last\n")[2].partition(".Pp")[0]
    assert set(re.findall(r"^\.Li ([a-z_]+)", last, re.M)) == set(Result(0.0, ProgramExit()).plain())


def test_calls_of_the_launcher_in_manual_and_examples_are_right() -> None:
    """What ExecStart= and examples say: known options, one ACCOUNT/SERVICE, then the command."""
    units = [path.read_text() for path in SOURCE.glob("config/examples/*/*.service")]
    lines = re.findall(r"(?:^|[ =/])paas-enter (.+)$", "\n".join([*units, sections(LAUNCHER)["EXAMPLES"]]), re.M)
    assert len(lines) == 6
    for line in lines:
        assert re.fullmatch(r"((--user [a-z-]+|--keep [A-Z_]+) )?[a-z%]+/[a-z]+ -- \S.*", line), line


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
@pytest.mark.parametrize("page", [COMMAND, LANGUAGE, MODULE, LAUNCHER, KEEPER], ids=lambda page: page.name)
def test_pages_are_good_mdoc(page: Path) -> None:
    subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)], check=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SOURCE)))
def test_commands_of_a_page_exist(page: Path) -> None:
    # without transcripts, which a run has filled in
    text = re.sub(r"```text\n.*?\n```", "", page.read_text(), flags=re.DOTALL)
    for script in re.findall(r"scripts/[a-z]+\b(?![./])", text):
        assert (SOURCE / script).is_file(), script
    known = verbs()
    for verb, rest in re.findall(r"(?<!libpam-)paas-isolate ([a-z]+)\b([^`\n#]*)", text):
        assert verb in known, verb
        assert set(re.findall(r"(?<!\S)--[a-z-]+", rest)) <= options(known[verb]) | {"--help"}, f"{verb} {rest}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SOURCE)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SOURCE)))
def test_paths_of_the_source_that_a_page_names_exist(page: Path) -> None:
    for path in re.findall(r"`((?:config|paas_isolate|tests|pam|man)/[\w./-]*)`", page.read_text()):
        assert (SOURCE / path).exists(), path


def test_packages_of_the_architecture_are_those_of_the_program() -> None:
    packages = {path.stem for path in (SOURCE / "paas_isolate").iterdir() if not path.name.startswith(("_", "py."))}
    text = (SOURCE / "docs/architecture.md").read_text().partition("## Layers")[2].partition("\n## ")[0]
    assert set(re.findall(r"^- \*\*`(\w+)`\*\*", text, flags=re.MULTILINE)) == packages


def test_readme_is_short() -> None:
    assert len((SOURCE / "README.md").read_text().split()) <= 1200


@pytest.mark.parametrize(("path", "text"), pages().items())
def test_generated_pages_are_up_to_date(path: str, text: str) -> None:
    assert (SOURCE / "docs" / path).read_text() == text, "run scripts/docs"


def test_the_picture_is_that_of_the_run_that_is_quoted() -> None:
    run = (SOURCE / "docs/demonstration.md").read_text()
    drawn = (SOURCE / "docs/images/session.svg").read_text()
    for part in ("reconcile: 69 changes made", "memory hog:", "fork bomb:"):
        assert part in run and part.replace(" ", "&#160;") in drawn
