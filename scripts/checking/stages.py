"""The stages of scripts/test, in the order of what is cheap to know first."""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from checking.workshop import SOURCE, ShopError, Workshop, open_fuzz_shop

PYTHON = ("paas_isolate", "scripts", "tests")
_TWICE_AT = ("-o", "cache_dir=/var/tmp/paas-isolate-tests")
_SITE = {"NO_MKDOCS_2_WARNING": "1"}
"""mkdocs-material's advertisement for its successor, off."""
FUZZING = 3600
"""Seconds."""
WARNINGS = ("-std=gnu17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only")


@dataclass(frozen=True)
class Stage:
    """`run` returns whether all was well; it prints what it found."""

    name: str
    meaning: str
    run: Callable[[Workshop], bool]


def run_all(stages: Iterable[Stage], shop: Workshop) -> int:
    """All stages, though one fails: whoever mends wants to know everything. A line each, and the sum."""
    failed: list[str] = []
    number = 0
    for stage in stages:
        print(f"== {stage.name}: {stage.meaning}", flush=True)
        begin = time.monotonic()
        well = stage.run(shop)
        print(f"== {stage.name}: {'ok' if well else 'FAILED'} ({time.monotonic() - begin:.1f} s)", flush=True)
        number += 1
        failed += [] if well else [stage.name]
    if failed:
        print(f"scripts/test: failed: {', '.join(failed)}")
    print(f"stages: {number - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def _call(*command: str, environment: dict[str, str] | None = None) -> bool:
    done = subprocess.run(command, cwd=SOURCE, stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})})
    return done.returncode == 0


def _pytest(shop: Workshop, *words: str, environment: dict[str, str] | None = None) -> bool:
    return _call(str(shop.python), "-m", "pytest", *words, environment=environment)


def _format(shop: Workshop) -> bool:
    return _call(shop.tool("ruff"), "format", "--check", "--quiet", *_python())


def _lint(shop: Workshop) -> bool:
    return _call(shop.tool("ruff"), "check", "--quiet", *_python())


def _types(shop: Workshop) -> bool:
    scripts = [str(path.relative_to(SOURCE)) for path in _scripts("python")]
    packages = [str(path.parent.relative_to(SOURCE)) for path in sorted((SOURCE / "scripts").glob("*/__init__.py"))]
    mypy = shop.tool("mypy")
    # Scripts without an ending are all called __main__: mypy takes one of them at a time.
    return _call(mypy) and _call(mypy, *packages) and all(_call(mypy, script) for script in scripts)


def _floors(shop: Workshop) -> bool:
    return _call(shop.tool("lint-imports"))


def _shell(_: Workshop) -> bool:
    scripts = [
        str(path)
        for path in (
            *_scripts("sh"),
            *sorted(SOURCE.glob("scripts/**/*.sh")),
            *sorted(SOURCE.glob("tests/**/*.sh")),
            *sorted(SOURCE.glob("config/hooks/*")),
        )
    ]
    return _call("shellcheck", "--external-sources", *scripts, str(SOURCE / ".ci" / "run"))


def _c(shop: Workshop) -> bool:
    sources = [str(path) for path in sorted(SOURCE.glob("**/*.c"))]
    native = [str(path) for path in sorted(SOURCE.glob("pam/*/*.[ch]"))]
    return _call(shop.tool("clang-format"), "--dry-run", "--Werror", *native) and all(
        _call("gcc", *WARNINGS, source) for source in sources
    )


def _man(_: Workshop) -> bool:
    pages = [str(path) for path in sorted(SOURCE.glob("man/*.[1-8]"))]
    return not pages or _call("mandoc", "-T", "lint", "-W", "warning", *pages)


def _docs(shop: Workshop) -> bool:
    with tempfile.TemporaryDirectory() as site:
        return _call(shop.tool("mkdocs"), "build", "--strict", "--quiet", "--site-dir", site, environment=_SITE)


def _unit(shop: Workshop) -> bool:
    return _pytest(shop, "--numprocesses", "auto")


def _kernel(shop: Workshop, *, long: bool = False) -> bool:
    return _as_root() and _pytest(shop, "-m", _marked("kernel", long=long), "tests/kernel")


def _hostile(shop: Workshop, *, long: bool = False) -> bool:
    """The attacks alone. Without --long they are also part of the stages kernel and guest."""
    here = _as_root() and _pytest(shop, "-m", _marked("kernel and hostile", long=long), "tests/kernel")
    inside = _inside("guest and hostile", "tests/guest", long=long)
    return _in_guest("test", "trixie", inside) and here


def _marked(marker: str, *, long: bool) -> str:
    return marker if long else f"{marker} and not long"


def _guest(shop: Workshop, *, release: str = "trixie", long: bool = False) -> bool:
    """The tests inside the test machine, then those that look at it from outside (reboots)."""
    if not _as_root():
        return False
    name = "test" if release == "trixie" else f"test-{release}"
    inside = _inside("guest", "tests/guest", long=long)
    faults = _inside("kernel", "tests/kernel/test_faults.py", long=long)  # there with limits, for it has controllers
    return _in_guest(name, release, f"{inside} && {faults}", lambda: _machine(shop, name, long=long))


def _in_guest(name: str, release: str, script: str, then: Callable[[], bool] = lambda: True) -> bool:
    """Runs a script in the checkout's copy in a guest, then something from outside; the guest is stopped after it."""
    vm = [sys.executable, str(SOURCE / "scripts" / "vm")]
    try:
        return (
            _call(*vm, "start", "--release", release, "--name", name)
            and _call(*vm, "run", "--name", name, "--", "bash", "-c", f"cd /root/paas-isolate && {script}")
            and then()
        )
    finally:
        if not os.environ.get("PAAS_ISOLATE_KEEP"):
            _call(*vm, "stop", "--name", name)


def _inside(marker: str, tests: str, *, long: bool) -> str:
    """Emulated processors stutter when the machine around them is busy, and some of these tests measure: what
    failed is tried once more by itself. What is wrong fails again."""
    which = _marked(marker, long=long)
    words = shlex.join(["/opt/testvenv/bin/python", "-m", "pytest", "-m", which, *_TWICE_AT, tests])
    return f"{{ {words} || {words} --last-failed; }}"


def _machine(shop: Workshop, name: str, *, long: bool) -> bool:
    words = ("-m", _marked("machine", long=long), "tests/machine")
    guest = {"PAAS_ISOLATE_GUEST": name}
    return _pytest(shop, *words, environment=guest) or _pytest(shop, *words, environment=guest)


def _try(_: Workshop) -> bool:
    return _as_root() and _call(sys.executable, str(SOURCE / "scripts" / "try"))


def _thorough(shop: Workshop) -> bool:
    generated = _pytest(shop, "tests/changes", "tests/spec", environment={"HYPOTHESIS_PROFILE": "thorough"})
    return _pytest(shop, "-m", "long", "tests/source") and generated


def _fuzz(shop: Workshop) -> bool:
    """What it finds lies in tests/fuzz/cases then, where a unit test looks at it: that tells every finding again."""
    try:
        fuzzer = open_fuzz_shop()
    except ShopError as error:
        print(error)
        return False
    went = _call(str(fuzzer.python), "tests/fuzz/fuzz_specs.py", f"-max_total_time={FUZZING}")
    return _pytest(shop, "tests/spec/test_fuzzed.py") and went


def _as_root() -> bool:
    if os.geteuid() == 0:
        return True
    print("this stage needs root: sudo scripts/test (or scripts/test --quick without)")
    return False


def _python() -> list[str]:
    return [*PYTHON, *(str(path) for path in _scripts("python"))]


def _scripts(language: str) -> list[Path]:
    """The programs in scripts/ that have no ending, by their first line."""
    found = (path for path in sorted((SOURCE / "scripts").iterdir()) if path.is_file() and not path.suffix)
    return [path for path in found if language in path.read_text().partition("\n")[0]]


QUICK = (
    Stage("format", "ruff format", _format),
    Stage("lint", "ruff check", _lint),
    Stage("types", "mypy --strict", _types),
    Stage("floors", "imports point only downward", _floors),
    Stage("shell", "shellcheck", _shell),
    Stage("c", "the C compiler's warnings", _c),
    Stage("man", "man pages", _man),
    Stage("docs", "mkdocs build --strict", _docs),
    Stage("unit", "pytest without root and kernel", _unit),
)
WHOLE = (
    *QUICK,
    Stage("kernel", "on this kernel, in a subtree of our own", _kernel),
    Stage("guest", "in a throwaway Debian 13", _guest),
)
LONG = (
    *QUICK,
    Stage("kernel", "on this kernel, long tests too", lambda shop: _kernel(shop, long=True)),
    Stage("thorough", "many more generated cases", _thorough),
    Stage("fuzz", "an hour of fuzzing (atheris)", _fuzz),
    Stage("guest", "in a throwaway Debian 13, long tests too", lambda shop: _guest(shop, long=True)),
    Stage("bookworm", "the same in a Debian 12", lambda shop: _guest(shop, release="bookworm", long=True)),
    Stage("try", "scripts/try", _try),
)


def alone(*, long: bool) -> tuple[Stage, ...]:
    """Stages that run by name only, for other stages hold what they run."""
    meaning = "the attacks alone, on this kernel and in a throwaway Debian 13"
    return (Stage("hostile", meaning, lambda shop: _hostile(shop, long=long)),)
