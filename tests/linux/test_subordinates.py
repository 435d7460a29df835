"""Reading /etc/subuid."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from paas_isolate.linux.kernel import Kernel
from paas_isolate.linux.network import bandwidth, bandwidth_table
from paas_isolate.linux.network.htb import HtbClasses
from paas_isolate.linux.process import procfs
from paas_isolate.linux.system.subordinates import subordinate_uids
from paas_isolate.model.network import Network, UidRange
from paas_isolate.observe import observe
from tests.support.fleets import fleet

ALICE = {"alice": (UidRange(100_000, 165_535),)}
BOB = {"bob": (UidRange(165_536, 231_071),)}


def test_ranges_by_user(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_bytes(b"alice:100000:65536\n1002:165536:10\nalice:300000:1\n")
    assert subordinate_uids(str(file)) == {
        "alice": ((100_000, 165_535), (300_000, 300_000)),
        "1002": ((165_536, 165_545),),
    }


def test_lines_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_bytes(b"\n# a comment\nalice\nbob:x:1\n:1:1\ncarol:5:0\ndave:-1:5\n\xff:1:2\neve:4294967290:65536")
    assert subordinate_uids(str(file)) == {"\ufffd": ((1, 2),), "eve": ((4_294_967_290, 4_294_967_294),)}


def test_without_a_file_nobody_has_any(tmp_path: Path) -> None:
    assert subordinate_uids(str(tmp_path / "missing")) == {}


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(lambda: Network(subordinates=ALICE), ALICE, id="the network has them"),
        pytest.param(Network, BOB, id="it has none"),
        pytest.param(lambda: 1 / 0, BOB, id="the network cannot be observed"),
        pytest.param(None, BOB, id="there is no network"),
    ],
)
def test_a_look_reads_them_once_for_network_and_bandwidth(
    monkeypatch: pytest.MonkeyPatch, seen: Any, expected: Mapping[str, tuple[UidRange, ...]]
) -> None:
    monkeypatch.setattr(bandwidth, "subordinate_uids", lambda: BOB)
    monkeypatch.setattr(bandwidth_table, "observe", lambda: None)
    monkeypatch.setattr(HtbClasses, "interfaces", lambda self: {})
    monkeypatch.setattr(HtbClasses, "classes", lambda self, names: {})
    monkeypatch.setattr(procfs, "effective_uids", tuple)
    cgroups: Any = SimpleNamespace(look=lambda *_: None, exists=lambda _: False, descendants=lambda _: 0)
    network: Any = SimpleNamespace(observe=seen) if seen else None
    kernel = Kernel(cgroups, network=network, bandwidth=bandwidth.HostBandwidth(""))
    assert observe(kernel, fleet(), broken={}).bandwidth.subordinate == expected
