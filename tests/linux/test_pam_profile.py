"""The lines of the profile: whom they lead around the module, where jumps land, what pam-auth-update makes of them."""

import re
from pathlib import Path

import pytest
from checking import pam_services

from paas_isolate.errors import HostError
from paas_isolate.linux.pam.profile import Options, lines, options, text
from paas_isolate.model.account import Fleet, Host

MODULE = Path(__file__).parents[2] / "pam" / "module"
OPTIONS = Options(1000, 59999, (1004,), "/tree/penalty", "/run/doors")


def stack(*exempt: str, open_on_failure: bool = False) -> list[str]:
    return lines(OPTIONS._replace(open_on_failure=open_on_failure), exempt)


def jumps(line: str) -> dict[str, int]:
    return {result: int(number) for result, number in re.findall(r"(\w+)=(\d+)[\s\]]", line.partition("]")[0] + "]")}


def test_the_services_of_the_module_are_made_of_ours() -> None:
    assert (MODULE / "services.h").read_text() == pam_services.header()


@pytest.mark.parametrize("exempt", [(), ("@sudo",), ("ops", "@sudo", "@wheel")])
@pytest.mark.parametrize("open_on_failure", [False, True])
def test_who_passes_by_lands_on_the_last_line(exempt: tuple[str, ...], open_on_failure: bool) -> None:
    found = stack(*exempt, open_on_failure=open_on_failure)
    passers = [(at, line) for at, line in enumerate(found) if "pam_succeed_if.so" in line]
    assert len(passers) == 3 + sum(any(name.startswith("@") is group for name in exempt) for group in (True, False))
    assert all(at + 1 + jumps(line)["success"] == len(found) - 1 for at, line in passers)


def test_each_end_of_the_module_has_its_line() -> None:
    found = stack()
    at, line = next((at, line) for at, line in enumerate(found) if "pam_paas_isolate.so" in line)
    assert found[at + 1 + jumps(line)["success"]] == "[success=end default=ignore] pam_permit.so"
    assert found[at + 1 + jumps(line)["ignore"]] == found[-1] == "optional pam_permit.so"
    assert found[at + 1].startswith("optional pam_echo.so ")  # all else, a module that does not load above all
    assert found[at + 2] == "requisite pam_deny.so"
    assert "perm_denied=die" in line


def test_where_failure_opens_nobody_is_denied() -> None:
    found = stack(open_on_failure=True)
    at, line = next((at, line) for at, line in enumerate(found) if "pam_paas_isolate.so" in line)
    assert found[at + 1 + jumps(line)["success"]].startswith("[success=end")
    assert found[at + 1 + 1 + jumps(found[at + 1])["success"]] == found[-1]
    assert "on_failure=open" in line
    assert not any("pam_deny" in line for line in found)


@pytest.mark.parametrize("open_on_failure", [False, True])
def test_pam_auth_update_knows_its_own_lines_again(open_on_failure: bool) -> None:
    """It compares without the first number and without `end`; a line that differs is one changed by hand."""
    for line in stack("ops", "@sudo", open_on_failure=open_on_failure):
        kept = re.sub(r"(\[[^0-9]*)[0-9]+(.*\])", r"\1\2", line)
        kept = re.sub(r"(\[.*)end(.*\])", r"\1\2", kept)
        control = re.match(r"(?:\[[^]]+\]|\w+)\s+\S+", line)
        assert control
        written = control[0].replace("end", "7") + line[control.end() :]
        assert re.sub(r"(\[[^0-9]*)[0-9]+(.*\])", r"\1\2", written) == kept


def test_names_that_pam_cannot_be_told_are_left_to_their_uid() -> None:
    found = "\n".join(stack("domain users", "@a:b", "a]b", "@sudo", "ops"))
    assert "user in ops\n" in found
    assert "user ingroup sudo\n" in found
    assert "domain" not in found
    assert "exempt=1004" in found


def test_no_line_is_longer_than_libpam_takes() -> None:
    many = OPTIONS._replace(exempt=tuple(range(1_000_000, 1_000_400)))
    names = [f"administrator{number}" for number in range(300)]
    found = lines(many, (*names, *(f"@{name}" for name in names)))
    assert max(map(len, found)) < 1000
    told = [name for line in found if " user in " in line for name in line.rpartition(" ")[2].split(":")]
    assert told == names
    assert many.words()[-1].startswith("exempt=1000000,1000001,")
    assert re.fullmatch(r"exempt=(1000\d\d\d,)+1000\d\d\d", many.words()[-1])


@pytest.mark.parametrize("path", ["/run/a b", "/run/#1", "/run/[x]", "/" + "x" * 300])
def test_a_path_that_would_break_the_line_is_refused(path: str) -> None:
    with pytest.raises(HostError, match="cannot stand in a PAM stack"):
        options(Fleet(Host(), {}), "/tree", path)


def test_the_profile_is_never_switched_on_by_others() -> None:
    assert "\nDefault: no\n" in text(stack())
