"""Serves the board to a browser on this machine.

    server = Server(Path("runs"), port=0)
    server.address              # "http://127.0.0.1:40123/9Tz.../"
    server.serve_forever()      # until server.shutdown()

The address contains a secret, so other users of the machine and pages of other sites cannot read
the board. The server answers only GET requests, and never writes anything.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from specc.board.watch import RunsWatch
from specc.diagnostics import SpecError
from specc.runs.listener import Silent

HOST = "127.0.0.1"
PAUSE = 0.5
"""Time between two checks for changes, in seconds."""
BEAT = 15
"""Time without changes after which the server sends a heartbeat, in seconds."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self';"
    " img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGES = {
    "": ("specc.board", "page.html", "text/html; charset=utf-8"),
    "board.css": ("specc.board", "board.css", "text/css; charset=utf-8"),
    "style.css": ("specc.report", "style.css", "text/css; charset=utf-8"),
    "ticks.js": ("specc.report", "ticks.js", "text/javascript; charset=utf-8"),
    "board.js": ("specc.board", "board.js", "text/javascript; charset=utf-8"),
}


class Server(ThreadingHTTPServer):
    """Serves the board of the runs in a folder; `port` 0 selects a free port."""

    daemon_threads = True

    def __init__(self, root: Path, port: int = 0) -> None:
        self.watch = RunsWatch(root)
        self.token = secrets.token_urlsafe(16)
        self.stopping = threading.Event()
        super().__init__((HOST, port), _Handler)

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self.server_address[1]}/{self.token}/"

    def shutdown(self) -> None:
        """Stop the server and end the event streams to all pages."""
        self.stopping.set()
        super().shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "specc", ""

    def log_message(self, format: str, *arguments: object) -> None:
        """Do nothing: requests are not logged."""

    def do_GET(self) -> None:
        name = urlsplit(self.path)
        _, token, *rest = name.path.split("/", 2)
        ports = {f"{host}:{self.server.server_address[1]}" for host in (HOST, "localhost")}
        is_known = secrets.compare_digest(token.encode(), self.server.token.encode())
        # DNS rebinding: a request through another site's name has that name as its Host
        if not is_known or not rest or self.headers.get("Host") not in ports:
            self._send(HTTPStatus.NOT_FOUND, b"not found", "text/plain")
            return
        query = {key: values[0] for key, values in parse_qs(name.query).items()}
        try:
            self._answer(rest[0], query)
        except KeyError:
            self._send(HTTPStatus.NOT_FOUND, b"not found", "text/plain")
        except (BrokenPipeError, ConnectionResetError):  # the page was closed
            self.close_connection = True

    def _answer(self, page: str, query: dict[str, str]) -> None:
        answers: dict[str, Callable[[dict[str, str]], None]] = {
            "events": self._events,
            "curves": self._curves,
            "compare": self._compare,
            "report": self._report,
        }
        if page in PAGES:
            package, name, kind = PAGES[page]
            self._send(HTTPStatus.OK, files(package).joinpath(name).read_bytes(), kind)
        else:
            answers[page](query)

    def _curves(self, query: dict[str, str]) -> None:
        self._json(self.server.watch.curves(query["run"]))

    def _compare(self, query: dict[str, str]) -> None:
        from specc.runs.compare import compare

        names = query["a"], query["b"]
        first, second = map(self.server.watch.folder, names)
        try:
            found = compare(first, second, names, Silent())
        except SpecError as error:
            self._json({"problem": error.diagnostics[0].message})
            return
        self._json(
            {
                "settings": [[d.name, d.first, d.second] for d in found.settings],
                "layers": [[d.name, d.first, d.second] for d in found.layers],
                "parameters": list(found.parameters),
            }
        )

    def _report(self, query: dict[str, str]) -> None:
        path = self.server.watch.folder(query["run"]) / "report.html"
        if not path.is_file():
            raise KeyError(query["run"])
        # the report brings its own script and style
        policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        policy += "img-src data:"
        self._send(HTTPStatus.OK, path.read_bytes(), "text/html; charset=utf-8", policy)

    def _events(self, query: dict[str, str]) -> None:
        """Send changes as server-sent events, starting with all runs."""
        self.send_response(HTTPStatus.OK)
        self._headers("text/event-stream", POLICY)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        seen, quiet = 0, 0.0
        while not self.server.stopping.is_set():
            version, changed, gone = self.server.watch.since(seen)
            if version > seen or not seen:
                told = json.dumps({"runs": changed, "gone": gone})
                self.wfile.write(f"data: {told}\n\n".encode())
                seen, quiet = max(version, 1), 0.0
            elif quiet >= BEAT:
                self.wfile.write(b": still here\n\n")
                quiet = 0.0
            self.wfile.flush()
            self.server.stopping.wait(PAUSE)
            quiet += PAUSE

    def _json(self, value: Any) -> None:
        self._send(HTTPStatus.OK, json.dumps(value).encode(), "application/json")

    def _send(self, status: HTTPStatus, body: bytes, kind: str, policy: str = POLICY) -> None:
        self.send_response(status)
        self._headers(kind, policy)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _headers(self, kind: str, policy: str) -> None:
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", policy)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
