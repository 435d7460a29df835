"""An account that has almost no CPU time starts its services slowly; nobody else waits for it."""

import time

import pytest

from tests.support.guest.machine import daemon, knob, pids_in, write_knob
from tests.support.guest.paas import Paas
from tests.support.guest.people import Sell, Specs
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.guest, pytest.mark.hostile]

SERVICES = [f"w{number}" for number in range(8)]
LOOPS = "for _ in 1 2 3 4; do (while :; do :; done) & done; wait"
SOON = 5.0
"""Seconds in which a knob of somebody else's is put back; on emulated processors that all others share."""


def services(run: str) -> dict[str, dict[str, str]]:
    return {name: {"run": run, "stop_timeout": "1s"} for name in SERVICES}


def repair() -> float:
    """Seconds until bob's knob, written by hand, is put back. Three times a minute at the most: then it is given up."""
    begin = time.monotonic()
    write_knob("users/bob", "pids.max", "7")
    wait_for(lambda: knob("users/bob", "pids.max") == "41", what="bob's knob is put back", deadline=60)
    return time.monotonic() - begin


def test_an_account_without_cpu_time_starts_services_and_delays_nobody(spec: Specs, sell: Sell, paas: Paas) -> None:
    spec.config()
    sell("bob", limits={"pids": 41})
    sell("alice", limits={"cpu": "2%", "pids": 200}, services=services(LOOPS))
    with daemon(accounts=2):
        assert repair() < SOON
        wait_for(
            lambda: all(pids_in(f"users/alice/{name}") for name in SERVICES),
            what="all are in their leaves",
            deadline=60,
        )
        sell("alice", limits={"cpu": "2%", "pids": 200}, services=services(f"X=1; {LOOPS}"))  # all start anew
        for pause in (0.5, 5):
            time.sleep(pause)  # other moments of their start
            assert repair() < SOON
