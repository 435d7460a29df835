"""The stages of scripts/test, the cheapest first."""

import os
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

from testbed.host import SOURCE

from checking.guests import guest, in_guest, inside, marked
from checking.running import Run, Stage
from checking.tool_env import LIBRARIES, ToolEnvError, open_fuzz_env, open_interface_env, open_library_env

PYTHON = ("hatch_build.py", "paas_isolate", "scripts", "benchmarks", "tests", "packaging")
_SITE = {"NO_MKDOCS_2_WARNING": "1"}
"""Without mkdocs-material's notice about its successor."""
FUZZING = 3600
"""Seconds."""
_STYLE = "--style=file:pam/.clang-format"
WARNINGS = ("-std=gnu17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only")


def _format(run: Run) -> bool:
    return run.call(run.tool("ruff"), "format", "--check", "--quiet", *_python())


def _lint(run: Run) -> bool:
    return run.call(run.tool("ruff"), "check", "--quiet", *_python())


def _types(run: Run) -> bool:
    packages = sorted(path.parent for path in (SOURCE / "scripts").glob("*/__init__.py"))
    targets = ["paas_isolate", "tests", "benchmarks", *(str(path) for path in (*packages, *_scripts("python")))]
    # Otherwise every script without an ending would be called __main__, and mypy would take one at a time.
    return run.call(run.tool("mypy"), "--scripts-are-modules", *targets)


def _layers(run: Run) -> bool:
    return run.call(run.tool("lint-imports"))


def _shell(run: Run) -> bool:
    scripts = [
        str(path)
        for path in (
            *_scripts("sh"),
            *sorted(SOURCE.glob("scripts/**/*.sh")),
            *sorted(SOURCE.glob("tests/**/*.sh")),
            *sorted(SOURCE.glob("config/hooks/*")),
            *sorted(SOURCE.glob("packaging/rpm/build")),
            *sorted(SOURCE.glob("packaging/debian/*.p[or]*")),
            *sorted(SOURCE.glob("packaging/debian/tests/*-*")),
        )
    ]
    return run.call("shellcheck", "--external-sources", *scripts, str(SOURCE / ".ci" / "run"))


def _c(run: Run) -> bool:
    """The BPF programs are not among gcc's sources: opening the tool environment compiles them by clang."""
    bpf = sorted(SOURCE.glob("paas_isolate/**/*.bpf.[ch]"))
    sources = [str(path) for path in sorted(SOURCE.glob("**/*.c")) if path not in bpf]
    formatted = [str(path) for path in sorted((*SOURCE.glob("pam/*/*.[ch]"), *SOURCE.glob("benchmarks/*.c"), *bpf))]
    return run.call(run.tool("clang-format"), _STYLE, "--dry-run", "--Werror", *formatted) and all(
        run.call("gcc", *WARNINGS, source) for source in sources
    )


def _man(run: Run) -> bool:
    pages = [str(path) for path in sorted(SOURCE.glob("man/*.[1-8]"))]
    return not pages or run.call("mandoc", "-T", "lint", "-W", "warning", *pages)


def _docs(run: Run) -> bool:
    with tempfile.TemporaryDirectory() as site:
        return run.call(run.tool("mkdocs"), "build", "--strict", "--quiet", "--site-dir", site, environment=_SITE)


def _unit(run: Run) -> bool:
    others = [f"--ignore=tests/{name}" for name in ("kernel", "guest", "machine")]  # it would run none of them
    bytecode = {"PYTHONPYCACHEPREFIX": str(run.shop.bytecode), "PYTHONDONTWRITEBYTECODE": ""}
    return run.pytest("--numprocesses", "auto", "--dist", "worksteal", *others, environment=bytecode)


def _libraries(run: Run) -> bool:
    """The unit tests with the libraries of each release of Debian. Those of the stage unit are the newest of PyPI."""
    try:
        shops = [open_library_env(path.stem) for path in sorted(LIBRARIES.glob("*.txt"))]
    except ToolEnvError as error:
        run.say(f"{error}\n")
        return False
    well = [_unit(replace(run, shop=shop)) for shop in shops]
    return all(well)


def _kernel(run: Run, *, long: bool = False) -> bool:
    """By two processes: half of the time its tests wait."""
    together = ("--numprocesses", "2", "--dist", "loadfile")
    return _as_root(run) and run.pytest_twice(*together, "-m", marked("kernel", long=long), "tests/kernel")


def _hostile(run: Run, *, long: bool = False) -> bool:
    """The attacks alone. Without --long they are also part of the stages kernel and guest."""
    here = _as_root(run) and run.pytest_twice("-m", marked("kernel and hostile", long=long), "tests/kernel")
    there = in_guest(run, "test", "trixie", inside("guest and hostile", "tests/guest", long=long))
    return there and here


def _packages(run: Run, *, long: bool = False) -> bool:
    """lintian finds nothing, and the source package makes the same bytes among other surroundings."""
    if not _as_root(run):
        return False
    if not long:
        return _package(run, "trixie", "amd64")
    well = [_package(run, *wanted) for wanted in (("trixie", "amd64"), ("bookworm", "amd64"), ("trixie", "arm64"))]
    return run.pytest("-m", "long", "tests/packages", "tests/scripts") and all(well)


def _package(run: Run, release: str, architecture: str) -> bool:
    words = ("--release", release, "--arch", architecture, "--lint", "--twice")
    with tempfile.TemporaryDirectory() as place:
        return run.call(sys.executable, str(SOURCE / "scripts" / "package"), *words, "--output", place)


def _try(run: Run) -> bool:
    return _as_root(run) and run.call(sys.executable, str(SOURCE / "scripts" / "try"))


def _thorough(run: Run) -> bool:
    generated = run.pytest(
        "tests/changes", "tests/spec", "tests/source/test_single.py", environment={"HYPOTHESIS_PROFILE": "thorough"}
    )
    return run.pytest("-m", "long", "tests/source") and generated


def _fuzz(run: Run) -> bool:
    """Findings are written to tests/fuzz/cases, where a unit test tries them: it reports each again."""
    try:
        fuzzer = open_fuzz_env()
    except ToolEnvError as error:
        run.say(f"{error}\n")
        return False
    is_well = run.call(str(fuzzer.python), "-m", "tests.fuzz.fuzz_specs", f"-max_total_time={FUZZING}")
    return run.pytest("tests/spec/test_fuzzed.py") and is_well


def _interface(run: Run) -> bool:
    """The long tests of the page and of the HTTP interface, by an environment that has schemathesis: without it they
    would be skipped."""
    try:
        shop = open_interface_env()
    except ToolEnvError as error:
        run.say(f"{error}\n")
        return False
    return replace(run, shop=shop).pytest("-m", "long", "tests/web")


def _as_root(run: Run) -> bool:
    if os.geteuid() == 0:
        return True
    run.say("this stage needs root: sudo scripts/test (or scripts/test --quick without)\n")
    return False


def _python() -> list[str]:
    return [*PYTHON, *(str(path) for path in _scripts("python"))]


def _scripts(language: str) -> list[Path]:
    """The programs in scripts/ without an ending whose first line names the language."""
    programs = (path for path in sorted((SOURCE / "scripts").iterdir()) if path.is_file() and not path.suffix)
    return [path for path in programs if language in path.read_text().partition("\n")[0]]


def _guest(run: Run, *, release: str = "trixie", long: bool = False) -> bool:
    return _as_root(run) and guest(run, release=release, long=long)


def _bookworm(*, long: bool) -> Stage:
    return Stage("bookworm", "the stage guest in Debian 12s", partial(_guest, release="bookworm", long=long))


_QUICK = "quick"
"""A group, whose stages run at the same time."""
QUICK = (
    Stage("format", "ruff format", _format),
    Stage("lint", "ruff check", _lint),
    Stage("unit", "pytest without root and kernel", _unit, _QUICK),
    Stage("types", "mypy --strict", _types, _QUICK),
    Stage("docs", "mkdocs build --strict", _docs, _QUICK),
    Stage("layers", "imports point only downward", _layers, _QUICK),
    Stage("c", "the C compiler's warnings", _c, _QUICK),
    Stage("shell", "shellcheck", _shell, _QUICK),
    Stage("man", "man pages", _man, _QUICK),
)
WHOLE = (
    *QUICK,
    Stage("kernel", "on this kernel, in a subtree of our own", _kernel),
    Stage("packages", "packages for Debian 13: lintian, the same bytes twice", _packages),
    Stage("guest", "in throwaway Debian 13s", _guest),
)
LONG = (
    *QUICK,
    Stage("libraries", "the unit tests with the libraries of Debian 12 and 13", _libraries),
    Stage("kernel", "on this kernel, long tests too", partial(_kernel, long=True)),
    Stage("packages", "packages for both Debians and for arm64, and RPMs", partial(_packages, long=True)),
    Stage("thorough", "many more generated cases", _thorough),
    Stage("interface", "the HTTP interface, long: schemathesis, odd requests, many streams", _interface),
    Stage("fuzz", "an hour of fuzzing (atheris)", _fuzz),
    Stage("guest", "in throwaway Debian 13s, long tests too", partial(_guest, long=True)),
    _bookworm(long=True),
    Stage("try", "scripts/try", _try),
)


def alone(*, long: bool) -> tuple[Stage, ...]:
    """Stages that run by name only, as other stages run the same tests, or as they take an hour."""
    meaning = "the attacks alone, on this kernel and in a throwaway Debian 13"
    return Stage("hostile", meaning, partial(_hostile, long=long)), _bookworm(long=long)
