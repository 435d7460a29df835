"""The files that pages load: style, scripts. Their URL holds a hash of what is in them, so browsers may keep them."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_HERE = Path(__file__).parent / "static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_KEEP = "public, max-age=31536000, immutable"


@cache
def _files() -> dict[str, tuple[str, bytes, str]]:
    """Name -> version, bytes, type."""
    paths = sorted((*_HERE.iterdir(), *(_HERE / "vendored").iterdir()))
    found = {path.name: path.read_bytes() for path in paths if path.suffix in _TYPES}
    return {name: (sha256(data).hexdigest()[:12], data, _TYPES[Path(name).suffix]) for name, data in found.items()}


def url_of(name: str) -> str:
    return f"/static/{_files()[name][0]}/{name}"


async def _answer(request: Request) -> Response:
    version, data, kind = _files().get(request.path_params["name"], ("", b"", ""))
    if not version:
        raise HTTPException(404, "There is no such file.")
    same = request.path_params["version"] == version
    return Response(data, media_type=kind, headers={"cache-control": _KEEP if same else "no-cache"})


def routes() -> list[Route]:
    return [Route("/static/{version}/{name}", _answer, methods=["GET"])]
