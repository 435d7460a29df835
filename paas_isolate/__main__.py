"""`python -m paas_isolate` is the same as the command `paas-isolate`."""

import sys

VENDORED = "/usr/lib/paas-isolate"
"""Where a package has the libraries that its release of the distribution lacks. Only programs of ours look there, and
there last."""

sys.path.append(VENDORED)

from paas_isolate.cli.main import main  # noqa: E402

if __name__ == "__main__":
    main()
