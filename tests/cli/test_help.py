"""--help of every command works anywhere and describes each option."""

import click
import pytest

from tests.support.command_line import ALL, LEAVES, options, outcome


@pytest.mark.parametrize("words", ALL)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_begins_with_the_usage(words: str, flag: str) -> None:
    result = outcome([*words.split(), flag])
    assert result.exit_code == 0
    assert result.stdout.startswith(" ".join(["Usage: paas-isolate", *words.split(), "[OPTIONS]"]))
    assert result.stderr == ""


@pytest.mark.parametrize(("words", "command"), ALL.items(), ids=list(ALL))
def test_help_tells_each_option_and_argument(words: str, command: click.Command) -> None:
    shown = outcome([*words.split(), "--help"]).stdout
    listed = shown.partition("\nOptions:\n")[2]
    for option in options(command):
        assert all(name in listed for name in option.opts)
        assert option.help, f"{option.opts[-1]} has no help"
    for argument in command.params:
        if isinstance(argument, click.Argument):
            assert (argument.metavar or argument.human_readable_name).upper() in shown.splitlines()[0].upper()


@pytest.mark.parametrize(("words", "command"), ALL.items(), ids=list(ALL))
def test_help_says_what_it_is_for(words: str, command: click.Command) -> None:
    said = (command.help or "").partition("\n")[0]
    assert said[:1].isupper()
    assert said.split()[0] in outcome([*words.split(), "--help"]).stdout


@pytest.mark.parametrize("words", [words for words in ALL if words not in LEAVES])
def test_help_of_a_group_lists_its_commands_with_a_sentence_each(words: str) -> None:
    listed = outcome([*words.split(), "--help"]).stdout.partition("\nCommands:\n")[2].splitlines()
    below = [each.split()[-1] for each in ALL if each and " ".join(each.split()[:-1]) == words]
    told = {
        line.split()[0]: line.split()[1:] for line in listed if line.startswith("  ") and not line.startswith("   ")
    }
    assert [*told] == below
    assert all(told.values())


def test_the_help_of_all_tells_the_exit_statuses() -> None:
    shown = " ".join(outcome(["--help"]).stdout.split())
    assert "0 converged; 1 error; 2 wrong usage" in shown
    assert all(f" {status} " in shown for status in (0, 1, 2, 3, 4, 5, 75))


def test_the_version_is_printed_as_the_command_version_has_it() -> None:
    number = outcome(["version"]).stdout.splitlines()[0].split()[1]
    assert outcome(["--version"]).stdout == f"paas-isolate, version {number}\n"
