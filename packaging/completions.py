"""Writes the completions for bash, zsh and fish below the directory that is given, such as /usr/share."""

import sys
from pathlib import Path

from click import Command
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

PROGRAM = "paas-isolate"
VARIABLE = "_PAAS_ISOLATE_COMPLETE"
PLACES: dict[str, type[ShellComplete]] = {
    f"bash-completion/completions/{PROGRAM}": BashComplete,
    f"zsh/vendor-completions/_{PROGRAM}": ZshComplete,
    f"fish/vendor_completions.d/{PROGRAM}.fish": FishComplete,
}


def write(share: Path) -> None:
    for place, kind in PLACES.items():
        path = share / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(kind(Command(PROGRAM), {}, PROGRAM, VARIABLE).source())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
