"""Generates pam/module/services.h from the list in linux/pam/profile.py.

After a change of the list: PYTHONPATH=.:scripts python3 -m checking.pam_services >pam/module/services.h
"""

import textwrap

from paas_isolate.linux.pam.profile import SERVICES

HEADER = """\
/* Services whose sessions run what a customer wants. Daemons such as dovecot are not among them:
 * their workers open sessions for many users and stay where they were put. Made by
 * scripts/checking/pam_services.py: do not edit. */
#ifndef PAAS_ISOLATE_SERVICES_H
#define PAAS_ISOLATE_SERVICES_H

/* clang-format off */
static const char *const services[] = {
%s
};
/* clang-format on */

#endif
"""


def header() -> str:
    words = ", ".join(f'"{name}"' for name in SERVICES) + ","
    return HEADER % textwrap.indent(textwrap.fill(words, 84, break_on_hyphens=False), "\t")


if __name__ == "__main__":
    print(header(), end="")
