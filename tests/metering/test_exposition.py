"""The text of metrics, judged by parsers that are not ours."""

import shutil
import subprocess
from collections.abc import Iterable

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

from paas_isolate.metering.exposition import Limited, Measured, Snapshot, Sold, text
from paas_isolate.metering.reading import Counters, Levels

MB = 1 << 20
SOLD = Limited(512 * MB, None, None, 1.5, 200)
ALL = Counters(*range(1_500_000, 1_500_000 + len(Counters._fields)))


def alice(leaf: str = "", limits: Limited = SOLD) -> Measured:
    return Measured("alice", leaf, ALL, Levels(100 * MB, 0, 7, 120 * MB, 80 * MB), limits)


def snapshot(measured: Iterable[Measured], sold: Iterable[Sold] = (Sold("alice", "small", False),)) -> Snapshot:
    return Snapshot(list(sold), list(measured), "1.2", 1_790_000_000.5)


def samples(told: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for family in openmetrics_families(told):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found
            found[key] = float(sample.value)
    return found


def test_values_have_the_units_that_their_names_say() -> None:
    found = samples(text(snapshot([alice()]), openmetrics=True))
    mine = (("account", "alice"),)
    assert found["paas_isolate_cpu_user_seconds_total", mine] == 1.5
    assert found["paas_isolate_memory_bytes", mine] == 100 * MB
    assert found["paas_isolate_memory_limit_bytes", mine] == 512 * MB
    assert found["paas_isolate_cpu_limit_cores", mine] == 1.5
    info = (("account", "alice"), ("plan", "small"), ("state", "ok"))
    assert found["paas_isolate_account_info", info] == 1
    assert found["paas_isolate_last_sample_timestamp_seconds", ()] == 1_790_000_000.5


def test_all_families_have_help_type_and_unit() -> None:
    told = text(snapshot([alice(), alice("web")]), openmetrics=True)
    assert told.endswith("\n# EOF\n")
    for family in openmetrics_families(told):
        assert family.documentation
        assert family.type in ("counter", "gauge", "info")
        assert all(("_seconds" in family.name) == (family.unit == "seconds") for _ in family.samples)


@pytest.mark.parametrize("nothing", [Limited(), Limited(None, None, None, None, None)])
def test_what_has_no_limit_has_no_series(nothing: Limited) -> None:
    told = text(snapshot([alice(limits=nothing)]), openmetrics=True)
    assert "limit" not in told and "memory_high" not in told
    assert "-1" not in told and "18446744073709551615" not in told and "Inf" not in told


def test_what_was_not_measured_has_no_series() -> None:
    told = text(snapshot([Measured("alice", "", Counters(), Levels(), Limited())]), openmetrics=True)
    assert {name for name, labels in samples(told) if labels} == {
        "paas_isolate_account_info",
        "paas_isolate_build_info",
    }


def test_leaves_have_names_of_their_own_so_that_sums_count_nothing_twice() -> None:
    found = samples(text(snapshot([alice(), alice("web"), alice("login")]), openmetrics=True))
    assert [labels for name, labels in found if name == "paas_isolate_memory_bytes"] == [(("account", "alice"),)]
    assert ("paas_isolate_leaf_memory_bytes", (("account", "alice"), ("leaf", "web"))) in found


@pytest.mark.parametrize("name", ['a"b', "a\\", "a\nb 1", 'a"} 1\nevil_metric{x="', "a\u202eb", "\udcff", "ü€"])
@pytest.mark.parametrize("openmetrics", [True, False])
def test_no_name_begins_a_line_or_ends_a_label(name: str, openmetrics: bool) -> None:
    each = alice()._replace(account=name)
    told = text(snapshot([each], [Sold(name, name, False)]), openmetrics=openmetrics).encode().decode()
    parse = openmetrics_families if openmetrics else plain_families
    names = {sample.name for family in parse(told) for sample in family.samples}
    assert all(each.startswith("paas_isolate_") for each in names)
    accounts = {
        sample.labels["account"] for family in parse(told) for sample in family.samples if "account" in sample.labels
    }
    assert len(accounts) == 1


def test_labels_are_account_leaf_and_what_the_info_says() -> None:
    told = text(snapshot([alice(), alice("web")]), openmetrics=True)
    labels = {name for family in openmetrics_families(told) for sample in family.samples for name in sample.labels}
    assert labels == {"account", "leaf", "plan", "state", "version"}


def test_accounts_that_come_and_go_leave_no_series() -> None:
    """jobstats issue 3: each job had labels of its own, which stayed for ever."""
    for turn in range(50):
        names = [f"a{turn}x{number}" for number in range(20)]
        told = text(
            snapshot(
                [alice()._replace(account=name) for name in names], [Sold(name, "small", False) for name in names]
            ),
            openmetrics=True,
        )
        found = samples(told)
        assert {dict(labels)["account"] for _, labels in found if "account" in dict(labels)} == set(names)
        families = len(list(openmetrics_families(told)))
        assert len(found) <= families * len(names)


def test_the_plain_format_has_the_same_samples() -> None:
    seen = snapshot([alice(), alice("web")])
    plain = {
        (sample.name, tuple(sorted(sample.labels.items()))): float(sample.value)
        for family in plain_families(text(seen, openmetrics=False))
        for sample in family.samples
    }
    assert plain == samples(text(seen, openmetrics=True))


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_finds_nothing_to_complain_of() -> None:
    told = text(snapshot([alice(), alice("web")]), openmetrics=False)
    done = subprocess.run(["promtool", "check", "metrics"], input=told, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
