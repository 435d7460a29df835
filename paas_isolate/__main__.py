"""`python -m paas_isolate`: the same as the command."""

from paas_isolate.cli.main import main

main()
