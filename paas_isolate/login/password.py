"""Checks a password by PAM (pam(3)): authentication and account alone. A session would move this process into a leaf of
the customer's, and credentials are for one who becomes the user.

python-pam is used, from 2.0.2 on: `pam` is its package, also in Debian's python3-pampy. It starts PAM and authenticates
in one call, so what must be said in between is said where it calls libpam.
"""

import pwd
from enum import Enum

import pam

SERVICE = "paas-isolate-web"
"""The stack: /etc/pam.d/paas-isolate-web."""


class Verdict(Enum):
    RIGHT = "right"
    WRONG = "an unknown user or a wrong password"
    EXPIRED = "the password has expired: change it by ssh, or ask your provider"
    CLOSED = "this user may not log in now: ask your provider"
    """Said only to somebody who knows the password."""


def check(user: str, password: str, address: str) -> Verdict:
    """The verdict of PAM on a name and a password, and on whether this user may log in. It takes as long as PAM takes:
    it delays what is wrong (pam_fail_delay(3))."""
    authenticator = pam.PamAuthenticator()
    authenticate = authenticator.pam_authenticate
    knows = False

    def authenticate_from_address(handle: object, _: int) -> int:
        nonlocal knows
        if address:
            authenticator.pam_set_item(handle, pam.PAM_RHOST, address.encode())
        code: int = authenticate(handle, pam.PAM_DISALLOW_NULL_AUTHTOK)
        knows = code == pam.PAM_SUCCESS
        return code

    authenticator.pam_authenticate = authenticate_from_address
    if "\0" in password:
        return Verdict.WRONG
    if authenticator.authenticate(user, password, SERVICE, resetcreds=False):
        return Verdict.RIGHT
    if not knows:
        return Verdict.WRONG
    expired = authenticator.code in (pam.PAM_NEW_AUTHTOK_REQD, pam.PAM_AUTHTOK_EXPIRED)
    return Verdict.EXPIRED if expired else Verdict.CLOSED


def entry_of(user: str) -> pwd.struct_passwd | None:
    """The user's entry in passwd(5); None where there is none."""
    try:
        return pwd.getpwnam(user)
    except KeyError:
        return None
