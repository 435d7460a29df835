"""Puts the compiled BPF programs of the gate into the wheel; for an editable install, beside their source."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))
from paas_isolate.linux.bpf.gate.compile import OBJECT, compile_gate


class GateBuildHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            compile_gate()
            return
        self._place = tempfile.TemporaryDirectory()
        target = Path(self._place.name, Path(OBJECT).name)
        compile_gate(str(target))
        build_data["force_include"][str(target)] = str(Path(OBJECT).relative_to(self.root))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._place.cleanup()
