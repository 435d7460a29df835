"""The process that `paas-isolate web` becomes. Its only argument is the setting, as JSON."""

import json
import sys

from paas_isolate.errors import PaasError
from paas_isolate.exits import exit_of
from paas_isolate.listening import Place
from paas_isolate.web.serve import serve
from paas_isolate.web.setting import Setting


def _ready(where: str) -> None:
    sys.stdout.write(f"serves pages on {where}\n")
    sys.stdout.flush()


def main() -> int:
    given = json.loads(sys.argv[1])
    setting = Setting(**{**given, "listen": Place(*given["listen"]), "names": tuple(given["names"])})
    try:
        serve(setting, _ready)
    except PaasError as error:
        sys.stderr.write(f"paas-isolate: {error}\n")
        return int(exit_of(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
