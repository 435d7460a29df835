"""Debian's Prometheus, which the image lacks, for the tests of tests/guest/test_metrics.py."""

from collections.abc import Iterator

import pytest
from testbed import product
from testbed.guest import Guest

from tests.machine.at_work import APT
from tests.machine.mirrored import install

pytestmark = pytest.mark.long

REMOVE = f"""
{APT} purge prometheus
systemctl unmask prometheus.service
rm -rf /srv/prometheus /etc/apt/sources.list.d/prometheus.list
"""
TESTS = f"cd {product.TREE} && /opt/testvenv/bin/python -m pytest -m guest tests/guest/test_metrics.py"


@pytest.fixture
def prometheus(guest: Guest) -> Iterator[Guest]:
    guest.run(["systemctl", "mask", "prometheus.service"], check=True)  # the tests start their own
    try:
        install(guest, "prometheus", "prometheus")
        yield guest
    finally:
        guest.run(script=REMOVE)


def test_it_scrapes_what_the_kernel_counts(prometheus: Guest) -> None:
    done = prometheus.run(script=TESTS, timeout=1200)
    assert done.code == 0 and "skipped" not in done.out, f"{done.out}{done.err}"
