"""The order of the acts, and how they are played."""

from testbed.errors import VmError

from demonstration.acts import Act, customers, limits, logins, passes, reboot, resident, services, setting, views
from demonstration.facts import DemonstrationError, Fact
from demonstration.ground import Ground
from demonstration.show import Show

ACTS = (
    Act("The product is installed", setting.installation, all_stand_on_it=True),
    Act("The example accounts, and programs of theirs", setting.accounts, all_stand_on_it=True),
    Act("A memory hog", limits.memory),
    Act("An endless loop", limits.cpu),
    Act("A fork bomb", limits.processes),
    Act("A limit is changed in the YAML", passes.edit),
    Act("Somebody changes the kernel by hand", passes.repair),
    Act("A typo", passes.typo),
    Act("Two runs at once", passes.two_runs),
    Act("A login", logins.login, alone_on_the_machine=True),
    Act("The daemon", resident.daemon, alone_on_the_machine=True),
    Act("A view of one's own", views.view, alone_on_the_machine=True),
    Act("A service", services.service, alone_on_the_machine=True),
    Act("A customer asks", customers.me, alone_on_the_machine=True),
    Act("A customer is suspended", customers.suspended, alone_on_the_machine=True),
    Act("A reboot", reboot.reboot, alone_on_the_machine=True),
)


def play(ground: Ground, show: Show, *, alone: bool) -> None:
    for act in ACTS:
        if act.alone_on_the_machine and not alone:
            continue
        show.begin(act.title)
        if not _played(act, ground, show) and act.all_stand_on_it:
            show.fact(Fact("the rest", False, "cannot be tried without this"))
            return


def _played(act: Act, ground: Ground, show: Show) -> bool:
    """Whether all of the act was measured, whatever came of it; otherwise it leaves one failed fact."""
    try:
        for shown in act.play(ground):
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
