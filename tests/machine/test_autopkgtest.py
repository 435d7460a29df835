"""The package's own test (autopkgtest(1)) on a machine that has never had the package."""

from collections.abc import Iterator

import pytest
from testbed import product
from testbed.guest import Guest

from tests.machine.at_work import ALL, apt, installed

pytestmark = pytest.mark.long


@pytest.fixture
def without(guest: Guest) -> Iterator[Guest]:
    """The product is purged."""
    guest.run(["paas-isolate", "pam", "remove"])
    apt(guest, "purge", ALL)
    yield guest
    apt(guest, "purge", ALL)
    installed(guest)


def test_the_main_job_does_on_this_machine(without: Guest) -> None:
    job = f"{product.TREE}/packaging/debian/tests/main-job {product.PACKAGES}/*.deb 2>&1"
    done = without.run(script=f"sh {job}", timeout=600)
    assert (done.code, done.out.splitlines()[-1]) == (0, "== all is well"), done.out
