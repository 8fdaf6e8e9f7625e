"""A server on the loopback interface that a test tells what to answer, and that remembers what it was asked."""

import io
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
from PIL import Image


def picture(shade: int = 100, *, form: str = "JPEG", side: int = 256, alpha: int | None = None) -> bytes:
    """A tile with something on it."""
    values = np.random.default_rng(shade).integers(0, 255, (32, 32, 3)).astype("uint8")
    image = Image.fromarray(values).resize((side, side), Image.Resampling.BICUBIC)
    if alpha is not None:
        image.putalpha(
            Image.fromarray(np.where(np.arange(side)[None] < side // 2, alpha, 255).repeat(side, 0).astype("uint8"))
        )
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def flat(shade: int = 200, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (256, 256), (shade, shade, shade)).save(file, form)
    return file.getvalue()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.path, dict(self.headers.items())))
        self.server.answer(self)
        self.close_connection = True

    do_GET = do_POST = do_HEAD = do_PUT = _any

    def send(self, status: int = 200, content: bytes = b"", kind: str = "image/jpeg", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args) -> None:
        """Tests say what they want to know."""


class Loopback(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, dict]] = []
        self.answer: Callable[[_Handler], None] = lambda handler: handler.send(content=picture())

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.authority}"

    def handle_error(self, request, client_address) -> None:
        """Clients that hang up are what some tests are about."""


@contextmanager
def serving():
    server = Loopback()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
