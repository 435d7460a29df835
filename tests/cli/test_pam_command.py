"""The command that takes the PAM module out again when nobody confirms it."""

from paas_isolate.cli import pam
from paas_isolate.installation import Installation


def test_it_names_the_directories_and_nothing_else() -> None:
    installation = Installation("/etc/p", "/var/lib/p", "/run/p", removing=lambda *_: None, applied=lambda _: None)
    assert pam._directories(installation) == "--etc /etc/p --state /var/lib/p --run /run/p"
