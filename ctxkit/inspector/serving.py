"""The page on a local address, where further questions can be asked.

Only this machine reaches it, and only whoever has the link: its path begins with a random token. A page of another
site, which a browser on this machine shows, gets nothing either: it does not know the token, no header lets it read an
answer, and a name that it makes resolve to this machine is refused as a host.
"""

from __future__ import annotations

import hmac
import json
import logging
import secrets
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from typing_extensions import Self

from ctxkit.errors import ConfigError, CtxkitError
from ctxkit.inspector.document import Inspection
from ctxkit.inspector.inspecting import Inspector
from ctxkit.inspector.page import as_html

_log = logging.getLogger(__name__)
_ADDRESS: Final = "127.0.0.1"
_LONGEST: Final = 1_000_000  # bytes of one request
_PATIENCE: Final = 30.0  # seconds in which a request has to arrive
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class InspectorServer:
    """Serves the page of an inspector on 127.0.0.1, from a thread of its own, until it is closed.

    `url` is the link with its token; `port` 0 takes any free one. `shown` is what the page shows at first. Raises
    ConfigError when the port cannot be had.
    """

    def __init__(self, inspector: Inspector, *, port: int = 0, shown: Inspection | None = None) -> None:
        self.inspector = inspector
        self.shown = shown
        self._token = secrets.token_urlsafe(32)
        try:
            self._server = _Server(self, port)
        except (OSError, OverflowError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "ports are 0 to 65535"
            raise ConfigError(f"port {port} cannot be had: {reason}.", fix="give another --port, or none.") from exc
        answering = {"poll_interval": 0.1}  # seconds until it notices that it was closed
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs=answering, name="ctxkit-inspector", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The link to the page; whoever has it can ask the store."""
        return f"http://{_ADDRESS}:{self.port}/{self._token}/"

    def wait(self) -> None:
        """Wait until the server is closed, or this thread is interrupted."""
        self._thread.join()

    def close(self) -> None:
        """Stop answering and give the port back."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def is_host(self, header: str | None) -> bool:
        """Whether a request was sent to this address by one of its own names."""
        return header in (f"{_ADDRESS}:{self.port}", f"localhost:{self.port}")

    def below_token(self, path: str) -> str | None:
        """Return the rest of a path that begins with the token, None for any other."""
        token, slash, rest = path.removeprefix("/").partition("/")
        known = hmac.compare_digest(token.encode("utf-8", "replace"), self._token.encode())
        return rest if known and slash else None


class _Server(ThreadingHTTPServer):
    """One thread for each connection; those that still wait for a request end with the process."""

    daemon_threads = True

    def __init__(self, owner: InspectorServer, port: int) -> None:
        self.owner = owner
        super().__init__((_ADDRESS, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note a connection that broke; whoever went away while being answered is no error."""
        _log.debug("a connection from %s broke (%s)", client_address, request, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """GET of the page, POST of a question; each connection is closed after its answer."""

    server: _Server
    timeout = _PATIENCE
    server_version = "ctxkit"
    sys_version = ""

    def do_GET(self) -> None:
        """Show the page."""
        place = self._place()
        if place is None:
            return
        if place:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        page = as_html(self.server.owner.shown, asks=True)
        self._answer(HTTPStatus.OK, "text/html; charset=utf-8", page)

    def do_POST(self) -> None:
        """Answer a question with its inspection."""
        place = self._place()
        if place is None:
            return
        if place != "ask":
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        question = self._question()
        if question is None:
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        owner = self.server.owner
        try:
            found = owner.shown = owner.inspector.inspect(question)
        except CtxkitError as exc:
            self._answer_json(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": exc.message, "fix": exc.fix})
            return
        self._answer_json(HTTPStatus.OK, found)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Refuse what is no such request, without a word about why."""
        self._refuse(HTTPStatus(code))

    def _place(self) -> str | None:
        """Return what is asked for, or refuse the request and return None; all refusals look the same."""
        owner = self.server.owner
        place = owner.below_token(self.path) if owner.is_host(self.headers.get("Host")) else None
        if place is None:
            self._refuse(HTTPStatus.FORBIDDEN)
        return place

    def _question(self) -> str | None:
        """Return the question of a request; a form of another page cannot send this type."""
        length = self.headers.get("Content-Length", "")
        if self.headers.get_content_type() != "application/json" or not length.isdecimal() or int(length) > _LONGEST:
            return None
        try:
            found = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            return None
        question = found.get("question") if isinstance(found, dict) else None
        return question if isinstance(question, str) else None

    def _answer_json(self, status: HTTPStatus, value: object) -> None:
        self._answer(status, "application/json", json.dumps(value))

    def _refuse(self, status: HTTPStatus) -> None:
        self._answer(status, "text/plain; charset=utf-8", f"{status.phrase}\n")

    def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **_HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the library calls with
        """Log nothing: a path holds the token."""
