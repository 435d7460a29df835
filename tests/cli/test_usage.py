"""Wrong usage ends with status 2, prints nothing on standard output, and says what to type instead."""

import re

import click
import pytest
from click.testing import Result

from tests.support.command_line import ALL, LEAVES, CommandLine, metavar, options, outcome


def assert_refused(result: Result, words: str, *said: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    for each in (f"Usage: paas-isolate {words}".rstrip(), f"Try 'paas-isolate {words}".rstrip(), "Error: ", *said):
        assert each in result.stderr


@pytest.mark.parametrize("words", [words for words in ALL if words != "me"])
def test_an_option_that_there_is_not(words: str) -> None:
    assert_refused(outcome([*words.split(), "--frobnicate"]), words, "No such option", "--frobnicate")


@pytest.mark.parametrize("words", [words for words in ALL if words not in LEAVES])
def test_a_command_that_there_is_not(words: str) -> None:
    assert_refused(outcome([*words.split(), "frobnicate"]), words, "No such command 'frobnicate'")


@pytest.mark.parametrize("words", [words for words in ALL if words not in LEAVES])
def test_a_group_alone_shows_its_help(words: str) -> None:
    result = outcome(words.split())
    assert result.exit_code == 2
    assert "\nCommands:\n" in result.stderr


def missing(command: click.Command) -> list[str]:
    return [metavar(parameter, command) for parameter in command.params if parameter.required]


@pytest.mark.parametrize("words", [words for words, command in LEAVES.items() if missing(command)])
def test_an_argument_that_is_missing_is_named(words: str) -> None:
    assert_refused(outcome(words.split()), words, f"Missing argument '{missing(LEAVES[words])[0]}'")


MANY = [words for words, it in LEAVES.items() if words != "me" and not any(each.nargs == -1 for each in it.params)]


@pytest.mark.parametrize("words", MANY)
def test_a_word_too_many_is_named(words: str, place: CommandLine) -> None:
    places = [parameter for parameter in LEAVES[words].params if isinstance(parameter, click.Argument)]
    given = ["alice/web", "1"][: len(places)] if not re.search("put|remove|show", words) else ["alice"] * len(places)
    given = [
        place.type.choices[0] if isinstance(place.type, click.Choice) else word
        for place, word in zip(places, given, strict=True)
    ]
    assert_refused(place(" ".join([words, *given, "superfluous"])), words, "superfluous")


VALUES = [
    (words, option.opts[0])
    for words, command in LEAVES.items()
    for option in options(command)
    if isinstance(option.type, click.types.FloatParamType | click.types.IntParamType | click.Choice)
]


@pytest.mark.parametrize(("words", "option"), VALUES)
@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf"])
def test_a_value_that_is_none_of_the_options(words: str, option: str, value: str, place: CommandLine) -> None:
    given = [
        parameter.human_readable_name for parameter in LEAVES[words].params if isinstance(parameter, click.Argument)
    ]
    result = place(f"{words} {option}={value} {' '.join(given)}" if option[:2] == "--" else f"{words} {option} {value}")
    assert_refused(result, words, "Invalid value for", option, f"'{value}'" if value == "soon" else value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("kill", "name an account, or say --all"),
        ("kill alice --all", "name an account, or say --all"),
        ("scale alice/web none", "'none' is not a number of replicas; expected 1 to 100, or default"),
        ("scale alice/web 0", "'0' is not a number of replicas; expected 1 to 100, or default"),
        ("scale alice/web 101", "'101' is not a number of replicas; expected 1 to 100, or default"),
        ("account put ../alice", "'../alice'; expected a name such as web-1"),
        ("account remove Alice", "'Alice'; expected a name such as web-1"),
        ("plan put a/b", "'a/b'; expected a name such as web-1"),
        ("exec alice/web", "Missing argument '[--] COMMAND...'"),
        ("pam install --on-failure=ask", "'ask' is not one of 'refuse', 'open'"),
    ],
)
def test_words_that_do_not_fit_together(words: str, said: str, place: CommandLine) -> None:
    assert_refused(place(words), "", said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("status alicia", "no account is called 'alicia'; did you mean alice?"),
        ("status zzz", "no account is called 'zzz'; paas-isolate status lists them"),
        ("coverage alicia", "no account is called 'alicia'; did you mean alice?"),
        ("diff --account alicia", "no account is called 'alicia'; did you mean alice?"),
    ],
)
def test_a_name_that_there_is_not_is_answered_with_the_nearest(words: str, said: str, place: CommandLine) -> None:
    place.tree()
    assert_refused(place(words), "", said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("reconcile --account alicia", "no account is called 'alicia'; did you mean alice?"),
        ("freeze alicia", "no account is called 'alicia'; did you mean alice?"),
        ("freeze alice/wep", "no service of alice is called 'wep'; did you mean web?"),
        ("thaw alicia", "no account is called 'alicia'; did you mean alice?"),
        ("kill alice/wep", "no service of alice is called 'wep'; did you mean web?"),
        ("start alice", "'alice' is not ACCOUNT/SERVICE"),
        ("restart alicia/web", "no account is called 'alicia'; did you mean alice?"),
        ("start alice/web", "no service with `run:` of alice is called 'web'; none of its services has `run:`"),
        ("stop alice/web", "no service with `run:` of alice is called 'web'; none of its services has `run:`"),
        ("scale alice/web 2", "no service with `run:` of alice is called 'web'; none of its services has `run:`"),
        ("logs alice", "'alice' is not ACCOUNT/SERVICE"),
        ("logs alice/web", "no service with `run:` of alice is called 'web'; none of its services has `run:`"),
        ("pam test nobody-here", "no user is called 'nobody-here'"),
    ],
)
def test_a_name_that_there_is_not_changes_nothing(words: str, said: str, made: CommandLine) -> None:
    before = made.files()
    assert_refused(made(words), "", said)
    assert made.files() == before
