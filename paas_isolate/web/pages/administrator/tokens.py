"""The tokens of the interface: who has which, and their end. They are made by a command, which prints the secret."""

import re
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from paas_isolate.control.table import BY_NAME
from paas_isolate.web.logins import Login
from paas_isolate.web.pages.base import get, post, render

