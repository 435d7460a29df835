"""Debian's Prometheus, which the image lacks, for the tests of tests/guest/test_metrics.py."""

from collections.abc import Iterator

import pytest
from testbed import product
from testbed.guest import Guest

from tests.machine.mirrored import REPOSITORY, download

pytestmark = pytest.mark.long

INSTALL = f"""
set -eu
{REPOSITORY}
repository /srv/prometheus prometheus
systemctl mask prometheus.service # the tests start their own
DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet --no-install-recommends install prometheus
"""
REMOVE = """
DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet purge prometheus
systemctl unmask prometheus.service
rm -rf /srv/prometheus /etc/apt/sources.list.d/prometheus.list
"""
TESTS = f"cd {product.TREE} && /opt/testvenv/bin/python -m pytest -m guest tests/guest/test_metrics.py"


@pytest.fixture
def prometheus(guest: Guest) -> Iterator[Guest]:
    download(guest, "/srv/prometheus", "install", "prometheus")
    try:
        guest.run(script=INSTALL, check=True, timeout=1200)
        yield guest
    finally:
        guest.run(script=REMOVE)


def test_it_scrapes_what_the_kernel_counts(prometheus: Guest) -> None:
    done = prometheus.run(script=TESTS, timeout=1200)
    assert done.code == 0 and "skipped" not in done.out, f"{done.out}{done.err}"
