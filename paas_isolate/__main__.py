"""`python -m paas_isolate` is the same as the command `paas-isolate`."""

from paas_isolate.cli.main import main

main()
