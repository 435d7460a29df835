"""The parser accepts config/, and the preset plans are as documented."""

import os
import shutil
from pathlib import Path

from paas_isolate.changes.supervision import managed_services
from paas_isolate.model.machine import Machine
from paas_isolate.source.directory import SpecDirectory
from paas_isolate.spec.parse import DEFAULT, parse_plan
from tests.support.crowd import Crowd

CONFIG = Path(__file__).parents[2] / "config"
PEOPLE = Crowd({"alice": 1001, "bob": 1002, "intranet": 1003, "intranet-dev": 1004})
BIG = Machine(cores=8, cpu_set="0-7", memory=64 << 30, swap=0, pid_max=4_194_304)


def test_the_examples_gather_without_a_word(tmp_path: Path) -> None:
    etc = shutil.copytree(CONFIG, tmp_path / "etc")
    for path in (etc, *etc.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)  # a checkout may be writable by its group
    found = SpecDirectory(str(etc), "/nonexistent", os.getuid()).load(PEOPLE, BIG, remember=False)
    assert found.complaints == ()
    assert list(found.accounts) == ["alice", "bob", "intranet"]
    assert found.host == DEFAULT._replace(default_plan="small")
    assert found.accounts["alice"].limits == {
        "cpu.max": 100_000,
        "cpu.weight": 100,
        "memory.max": 1 << 30,
        "memory.swap": 0,
        "pids": 100,
        "io.read": 5 << 20,
        "io.write": 5 << 20,
    }


def test_the_services_that_are_run_are_as_their_comments_say(tmp_path: Path) -> None:
    etc = shutil.copytree(CONFIG, tmp_path / "etc")
    shutil.copy(CONFIG / "examples/services/dora.yaml", etc / "accounts.d")
    for path in (etc, *etc.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    people = Crowd({**PEOPLE.users, "dora": 1005})
    found = SpecDirectory(str(etc), "/nonexistent", os.getuid()).load(people, BIG, remember=False)
    assert found.complaints == ()
    assert found.not_enforced() == {}
    dora = found.accounts["dora"]
    kept, unmet = managed_services(found, {}, (), ())
    assert unmet == {}
    assert [*kept] == [f"users/dora/{leaf}" for leaf in ("edge", "nightly", "wasm", "web", "web.2", "worker")]
    assert dict(kept["users/dora/web.2"].launch.environment)["PORT"] == "8001"
    assert kept["users/dora/worker"].launch.log == "/home/dora/logs/worker.log"
    assert kept["users/dora/nightly"].is_job
    assert [service.name for service in dora.services if service.work.run.startswith("exec wasmtime")] == [
        "edge",
        "wasm",
    ]


def test_the_preset_plans_have_the_figures_of_the_trade() -> None:
    """cores, memory, processes, bytes a second; no swap, no memory.high, weights in proportion to the cores."""
    figures = {
        "free": (25, 256, 50, 1),
        "small": (100, 1024, 100, 5),
        "typical": (100, 1024, 100, 1),
        "medium": (200, 2048, 200, 20),
        "large": (400, 4096, 400, 50),
        "xlarge": (800, 8192, 800, 100),
    }
    assert {path.stem for path in (CONFIG / "plans.d").iterdir()} == set(figures)
    for name, (percent, memory, pids, io) in figures.items():
        plan = parse_plan((CONFIG / "plans.d" / f"{name}.yaml").read_bytes(), f"plans.d/{name}.yaml")
        limits = dict(plan.limits)
        operations = {limits.pop("io.read_ops", None), limits.pop("io.write_ops", None)}
        assert operations == ({1024} if name == "typical" else {None})
        assert limits == {
            "cpu.max": percent * 1000,
            "cpu.weight": percent,
            "memory.max": memory << 20,
            "memory.swap": 0,
            "pids": pids,
            "io.read": io << 20,
            "io.write": io << 20,
        }
