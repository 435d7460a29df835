"""What pages load: from this site alone, unchanged, kept by browsers."""

from hashlib import sha256
from pathlib import Path

from starlette.testclient import TestClient

from paas_isolate.web import assets

VENDORED = Path(assets.__file__).parent / "static" / "vendored"


def test_files_of_others_are_unchanged_and_have_their_licences() -> None:
    lines = [line.split("  ") for line in (VENDORED / "SHA256SUMS").read_text().splitlines()]
    sums = {name: digest for digest, name in lines}
    assert sums == {
        path.name: sha256(path.read_bytes()).hexdigest()
        for path in VENDORED.iterdir()
        if path.suffix in (".js", ".css", ".LICENSE")
    }
    assert {name.partition(".LICENSE")[0] for name in sums if name.endswith(".LICENSE")} == {
        name.partition("-")[0] for name in sums if not name.endswith(".LICENSE")
    }


def test_a_file_is_kept_for_as_long_as_it_is_the_same(stranger: TestClient) -> None:
    for name in ("app.css", "app.js", "htmx-2.0.10.min.js"):
        answer = stranger.get(assets.url_of(name))
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    other = stranger.get("/static/000000000000/app.css")
    assert (other.status_code, other.headers["cache-control"]) == (200, "no-cache")


def test_what_is_no_file_of_a_page(stranger: TestClient) -> None:
    for path in ("/static/x/SHA256SUMS", "/static/x/../app.py", "/static/x/%2e%2e%2fapp.py", "/static/x/a/b"):
        assert stranger.get(path).status_code == 404
