"""The order of the scenarios, and how they are played."""

from testbed.errors import VmError

from demonstration.facts import DemonstrationError, Fact
from demonstration.scenarios import (
    Scenario,
    customers,
    limits,
    logins,
    passes,
    reboot,
    resident,
    services,
    setting,
    views,
)
from demonstration.show import Show
from demonstration.target import Target

SCENARIOS = (
    Scenario("The product is installed", setting.installation, all_stand_on_it=True),
    Scenario("The example accounts, and programs of theirs", setting.accounts, all_stand_on_it=True),
    Scenario("A memory hog", limits.memory),
    Scenario("An endless loop", limits.cpu),
    Scenario("A fork bomb", limits.processes),
    Scenario("A limit is changed in the YAML", passes.edit),
    Scenario("Somebody changes the kernel by hand", passes.repair),
    Scenario("A typo", passes.typo),
    Scenario("Two runs at once", passes.two_runs),
    Scenario("A login", logins.login, alone_on_the_machine=True),
    Scenario("The daemon", resident.daemon, alone_on_the_machine=True),
    Scenario("A view of one's own", views.view, alone_on_the_machine=True),
    Scenario("A service", services.service, alone_on_the_machine=True),
    Scenario("A customer asks", customers.me, alone_on_the_machine=True),
    Scenario("A customer is suspended", customers.suspended, alone_on_the_machine=True),
    Scenario("A reboot", reboot.reboot, alone_on_the_machine=True),
)


def play(target: Target, show: Show, *, alone: bool) -> None:
    for scenario in SCENARIOS:
        if scenario.alone_on_the_machine and not alone:
            continue
        show.begin(scenario.title)
        if not _played(scenario, target, show) and scenario.all_stand_on_it:
            show.fact(Fact("the rest", False, "cannot be tried without this"))
            return


def _played(scenario: Scenario, target: Target, show: Show) -> bool:
    """Whether all of the scenario was measured, whatever came of it; otherwise it leaves one failed fact."""
    try:
        for shown in scenario.play(target):
            if isinstance(shown, Fact):
                show.fact(shown)
            else:
                show.line(shown)
    except DemonstrationError as error:
        show.fact(Fact("not measured", False, str(error), output=error.output))
        return False
    except VmError as error:
        first, _, rest = str(error).partition("\n")
        show.fact(Fact("not measured", False, first, output=rest))
        return False
    return True
