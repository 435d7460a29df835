"""Compiles gate.bpf.c by clang, when the product is built. `python -m paas_isolate.linux.bpf.gate.compile` compiles it
beside its source, where that is newer."""

import os
import shutil
import subprocess
from glob import glob

SOURCE = os.path.join(os.path.dirname(__file__), "gate.bpf.c")
OBJECT = f"{SOURCE.removesuffix('.c')}.o"


def compile_gate(target: str = OBJECT) -> None:
    """Compile into the file `target`. SystemExit with clang's messages where that fails, or clang is missing."""
    clang = shutil.which("clang")
    if clang is None:
        raise SystemExit("clang is missing: apt-get install clang libbpf-dev")
    directory, name = os.path.split(SOURCE)
    command = [clang, "-O2", "-g", "-Wall", "-Werror", "--target=bpf", f"-I{_machine_headers(clang)}"]
    command.append(f"-fdebug-prefix-map={directory}=.")  # BTF names the headers: the same source makes the same bytes
    done = subprocess.run([*command, "-c", name, "-o", target], cwd=directory, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{SOURCE} does not compile:\n{done.stderr}")
    for strip in (*filter(None, [shutil.which("llvm-strip")]), *glob("/usr/bin/llvm-strip-*"))[:1]:
        subprocess.run([strip, "--strip-debug", target], check=True)  # DWARF goes, BTF stays


def is_stale() -> bool:
    """Whether the object beside the sources is missing or older."""
    try:
        sources = SOURCE, *glob(os.path.join(os.path.dirname(SOURCE), "*.bpf.h"))
        return os.stat(OBJECT).st_mtime_ns < max(os.stat(path).st_mtime_ns for path in sources)
    except FileNotFoundError:
        return True


def _machine_headers(clang: str) -> str:
    """The directory with asm/types.h, which --target=bpf does not search."""
    triplet = subprocess.check_output([clang, "-print-target-triple"], text=True).strip().replace("-pc-", "-")
    return f"/usr/include/{triplet}"


if __name__ == "__main__" and is_stale():
    compile_gate()
