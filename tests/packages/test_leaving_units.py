"""Which units `leave` stops, and which it keeps from the next boot. systemctl only notes what it is told."""

import pytest

from paas_isolate import leaving
from paas_isolate.errors import HostError
from paas_isolate.linux.system import systemd


def test_the_page_is_stopped_and_disabled_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, ...]] = []

    def systemctl(*line: str) -> str:
        told.append(line)
        if line[:2] == ("--quiet", "disable") and "paas-isolate-daemon.service" in line:
            raise HostError("one of them is not installed")
        return ""

    monkeypatch.setattr(systemd, "_systemctl", systemctl)
    leaving._stop_units()
    leaving._disable_at_boot()
    stop, disable, of_page = told
    page = ["paas-isolate-web.service", "paas-isolate-session.socket", "paas-isolate-session@*.service"]
    assert list(stop[:4]) == ["stop", *page]
    assert {"paas-isolate-daemon.service", "paas-isolate.timer", "paas-isolate-metrics.service"} <= {*stop}
    assert "paas-tree.service" not in stop, "customers are let out of it first"
    assert "paas-tree.service" in disable
    assert of_page == ("--quiet", "disable", "paas-isolate-session.socket", "paas-isolate-web.service")
