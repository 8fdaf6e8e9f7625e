"""A client faster than the servers it measures: processes with a few kept connections each, and nothing but sockets.

    python -m tests.bench._http_client PORT SECONDS CONNECTIONS FIRST < paths and headers as JSON

One request a connection is on its way at any time, as in a browser. It imports nothing of the product.
"""

import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CHUNK = 256 * 1024


@dataclass(frozen=True)
class Measured:
    """What the clients of one round saw."""

    per_s: float
    # Milliseconds of each request, from sending to the last byte.
    times_ms: list[float]
    n_bytes: int
    # Answers that were not 200.
    n_wrong: int


def measure(port: int, paths: list[str], headers: dict[str, str], seconds: float, processes: int = 2) -> Measured:
    """Ask for the paths in their order, over and over, from `processes` x 4 connections."""
    given = json.dumps({"paths": paths, "headers": headers}).encode()
    command = [sys.executable, "-m", "tests.bench._http_client", str(port), str(seconds), "4"]
    running = [
        subprocess.Popen([*command, str(k)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        for k in range(processes)
    ]
    for each in running:
        each.stdin.write(given)
        each.stdin.close()
    found = [json.loads(each.stdout.read()) for each in running]
    if any(each.wait() for each in running):
        raise RuntimeError("A client of the bench failed.")
    times = [time for one in found for time in one["times_ms"]]
    per_s = sum(len(one["times_ms"]) / one["seconds"] for one in found)
    return Measured(per_s, times, sum(one["n_bytes"] for one in found), sum(one["n_wrong"] for one in found))


def get(port: int, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    """One answer: status, headers with small letters, body."""
    connection = _Connection(port)
    connection.send(_request(path, headers))
    head, body = connection.receive()
    lines = head.decode("latin-1").split("\r\n")
    named = dict(line.split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), {name.lower(): value for name, value in named.items()}, body


class _Connection:
    def __init__(self, port: int):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        self.sent_at = time.perf_counter()
        self._socket.sendall(request)

    def receive(self) -> tuple[bytes, bytes]:
        data = self._more()
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        at = data.lower().find(b"content-length:", 0, end)
        length = int(data[at + 15 : data.find(b"\r\n", at)]) if at >= 0 else 0
        while len(data) < end + 4 + length:
            data += self._more()
        return data[:end], data[end + 4 :]

    def _more(self) -> bytes:
        found = self._socket.recv(CHUNK)
        if not found:
            raise ConnectionError("The server closed a connection in the middle of an answer.")
        return found


def _request(path: str, headers: dict[str, str]) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _run(port: int, seconds: float, n_connections: int, first: int, given: dict) -> dict:
    requests = [_request(path, given["headers"]) for path in given["paths"]]
    connections = [_Connection(port) for _ in range(n_connections)]
    times, n_bytes, n_wrong, turn = [], 0, 0, first * len(requests) // 2
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        for connection in connections:
            connection.send(requests[turn % len(requests)])
            turn += 1
        for connection in connections:
            head, body = connection.receive()
            times.append((time.perf_counter() - connection.sent_at) * 1000)
            n_bytes += len(body)
            n_wrong += b" 200 " not in head[:16]
    spent = time.perf_counter() - began
    return {"times_ms": times, "seconds": spent, "n_bytes": n_bytes, "n_wrong": n_wrong}


if __name__ == "__main__":
    port, seconds, n_connections, first = sys.argv[1:]
    print(json.dumps(_run(int(port), float(seconds), int(n_connections), int(first), json.load(sys.stdin))))
