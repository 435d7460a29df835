"""A small assembler for eBPF, with labels. See Documentation/bpf/standardization/instruction-set.rst of Linux.

Constants that are in network order in memory are made by `word()`, so that they can be compared with a loaded word on
machines of either byte order.
"""

import struct
import sys
from enum import IntEnum


class Reg(IntEnum):
    R0 = 0
    R1 = 1
    R2 = 2
    R3 = 3
    R4 = 4
    R5 = 5
    R6 = 6
    R7 = 7
    R8 = 8
    R9 = 9
    FP = 10


class Size(IntEnum):
    WORD = 0x00
    HALF = 0x08
    BYTE = 0x10
    DOUBLE = 0x18


class Jump(IntEnum):
    EQUAL = 0x10
    ANY_BIT = 0x40
    DIFFERENT = 0x50


class Alu(IntEnum):
    ADD = 0x00
    OR = 0x40
    AND = 0x50
    XOR = 0xA0


def word(content: bytes) -> int:
    """Four bytes, in their order in memory, as the signed constant of an instruction."""
    return int.from_bytes(content, sys.byteorder, signed=True)


class Assembly:
    """A program that grows with each call: most methods add one instruction, `constant` and `table` one of double size.
    Offsets and sizes are in bytes."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, int, int, int, int]] = []
        self._labels: dict[str, int] = {}
        self._jumps: dict[int, str] = {}

    def _add(self, code: int, to: int = 0, source: int = 0, offset: int = 0, constant: int = 0) -> None:
        self._lines.append((code, to, source, offset, constant))

    def label(self, name: str) -> None:
        """Jumps to this name lead to the next instruction. ValueError where the name is used twice."""
        if name in self._labels:
            raise ValueError(f"label {name} stands twice")
        self._labels[name] = len(self._lines)

    def move(self, to: Reg, source: Reg | int) -> None:
        self._add(*(0xBF, to, source) if isinstance(source, Reg) else (0xB7, to, 0, 0, source))

    def sum(self, kind: Alu, to: Reg, source: Reg | int, *, narrow: bool = False) -> None:
        """Arithmetic in 64 bits, or in 32 with the upper half cleared."""
        family = 0x04 if narrow else 0x07
        self._add(*(family | 8 | kind, to, source) if isinstance(source, Reg) else (family | kind, to, 0, 0, source))

    def narrow(self, to: Reg) -> None:
        """Clear the upper 32 bits of a register."""
        self._add(0xBC, to, to)

    def load(self, to: Reg, source: Reg, offset: int, size: Size = Size.WORD) -> None:
        self._add(0x61 | size, to, source, offset)

    def store(self, to: Reg, offset: int, source: Reg | int, size: Size = Size.WORD) -> None:
        self._add(
            *(0x63 | size, to, source, offset) if isinstance(source, Reg) else (0x62 | size, to, 0, offset, source)
        )

    def add_atomically(self, to: Reg, offset: int, source: Reg) -> None:
        self._add(0xDB, to, source, offset)

    def table(self, to: Reg, descriptor: int) -> None:
        """Load the address of the map with this descriptor (BPF_PSEUDO_MAP_FD)."""
        self._add(0x18, to, 1, 0, descriptor)
        self._add(0)

    def constant(self, to: Reg, value: int) -> None:
        """Load a constant of 64 bits."""
        low, high = struct.unpack("<ii", struct.pack("<Q", value))
        self._add(0x18, to, 0, 0, low)
        self._add(0, 0, 0, 0, high)

    def go(self, label: str) -> None:
        """Jump always."""
        self._jump(0x05, label=label)

    def when(self, test: Jump, left: Reg, right: Reg | int, label: str, *, wide: bool = False) -> None:
        """Jump when the test is true for the lower 32 bits, or with `wide` for all 64."""
        family = 0x05 if wide else 0x06
        if isinstance(right, Reg):
            self._jump(family | 8 | test, left, right, label=label)
        else:
            self._jump(family | test, left, 0, right, label=label)

    def _jump(self, code: int, to: int = 0, source: int = 0, constant: int = 0, *, label: str) -> None:
        self._jumps[len(self._lines)] = label
        self._add(code, to, source, 0, constant)

    def call(self, helper: int) -> None:
        """Call a function of the kernel: arguments in R1 to R5, the result in R0; R1 to R5 are lost
        (bpf-helpers(7))."""
        self._add(0x85, constant=helper)

    def leave(self, verdict: int | None = None) -> None:
        """End the program with this result, or with the content of R0."""
        if verdict is not None:
            self.move(Reg.R0, verdict)
        self._add(0x95)

    def code(self) -> bytes:
        """The whole program. KeyError where a jump leads to a label that does not exist."""
        return b"".join(self._line(place, *line) for place, line in enumerate(self._lines))

    def _line(self, place: int, code: int, to: int, source: int, offset: int, constant: int) -> bytes:
        if place in self._jumps:
            offset = self._labels[self._jumps[place]] - place - 1
        registers = source << 4 | to if sys.byteorder == "little" else to << 4 | source
        return struct.pack("=BBhi", code, registers, offset, constant)
