"""System calls by number: those of each architecture, never x86's alone."""

import re
from pathlib import Path

import pytest

import paas_isolate
from paas_isolate.linux.bpf import call
from paas_isolate.linux.namespaces import syscalls
from paas_isolate.linux.quota import calls

GENERIC = Path("/usr/include/asm-generic/unistd.h")
"""The numbers of arm64 and riscv64 (package linux-libc-dev)."""
UNIFIED = 424
"""From this number on all architectures have the same (Linux 5.1)."""


def test_numbers_are_known_for_arm64_as_for_x86() -> None:
    package = Path(paas_isolate.__file__).parent
    callers = {path for path in package.rglob("*.py") if re.search(r"(?i)libc\.syscall\(", path.read_text())}
    assert callers == {Path(str(module.__file__)) for module in (call, syscalls, calls)}
    assert calls._QUOTACTL_FD >= UNIFIED
    for numbers in (call._NUMBERS, syscalls._PIVOT_ROOT):
        assert {"x86_64", "aarch64"} <= numbers.keys()


@pytest.mark.skipif(not GENERIC.exists(), reason="linux-libc-dev is not installed")
def test_numbers_are_the_kernels() -> None:
    text = GENERIC.read_text()
    known = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", text)}
    assert (known["bpf"], known["pivot_root"]) == (call._NUMBERS["aarch64"], syscalls._PIVOT_ROOT["aarch64"])
    assert known["quotactl_fd"] == calls._QUOTACTL_FD
