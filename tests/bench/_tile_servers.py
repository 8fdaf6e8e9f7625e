"""The three servers that a bench of tiles compares, each with two processes on a loopback port, none as a service."""

import os
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection

ROOT = Path(__file__).resolve().parent.parent.parent
PROCESSES, THREADS = 2, 4
TITILER = ("titiler.core==2.4.0", "uvicorn==0.54.0")
# What titiler's documentation recommends for files at hand.
TITILER_SETTINGS = {"GDAL_CACHEMAX": "200", "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "VSI_CACHE": "TRUE"}


class ReferenceMissing(Exception):
    """What the bench compares with cannot be had."""


@contextmanager
def ours(media: Path) -> Iterator[int]:
    """gunicorn with threads, login, permission and all middleware, as docs/deployment.md runs it."""
    port = _free_port()
    command = [sys.executable, "-m", "gunicorn", "asm_audit.wsgi:application", "--worker-class", "gthread"]
    command += ["--workers", str(PROCESSES), "--threads", str(THREADS), "--bind", f"127.0.0.1:{port}"]
    ours = {"DATABASE_NAME": connection.settings_dict["NAME"], "MEDIA_ROOT": str(media), "HTTPS": "0", "DEBUG": "0"}
    with _running([*command, "--log-level", "error"], port, os.environ | ours | {"LOG_LEVEL": "ERROR"}):
        yield port


@contextmanager
def titiler() -> Iterator[int]:
    port = _free_port()
    command = [str(_titiler_python()), "-m", "uvicorn", "tests.bench._titiler_app:app", "--workers", str(PROCESSES)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--no-access-log"]
    with _running(command, port, os.environ | TITILER_SETTINGS):
        yield port


def _titiler_python() -> Path:
    """An environment of its own, made when first needed: titiler is no part of the product or of its tests."""
    folder = Path(os.environ.get("TITILER_VENV", ROOT / ".dev" / "titiler"))
    python = folder / "bin" / "python"
    if (
        subprocess.run([python, "-c", "import titiler.core, uvicorn"], capture_output=True).returncode
        if python.exists()
        else 1
    ):
        print("installing titiler, once", flush=True)
        venv.create(folder, with_pip=True, clear=folder.exists() and "TITILER_VENV" not in os.environ)
        done = subprocess.run([python, "-m", "pip", "install", "--quiet", *TITILER], capture_output=True, text=True)
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
            raise ReferenceMissing(f"titiler cannot be installed ({why}); this bench compares with it.")
    return python


NGINX = """
worker_processes {processes};
daemon off;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
{user}
events {{ worker_connections 64; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    types {{ image/jpeg jpg; }}
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; root {files}; }}
}}
"""


@contextmanager
def nginx(folder: Path, files: Path) -> Iterator[int | None]:
    """nginx on files that are tiles; None where it is not installed."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        yield None
        return
    port = _free_port()
    user = "user root;" if os.getuid() == 0 else ""
    settings = folder / "nginx.conf"
    settings.write_text(NGINX.format(processes=PROCESSES, folder=folder, files=files, port=port, user=user))
    with _running([program, "-p", str(folder), "-c", str(settings)], port, os.environ):
        yield port


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def _running(command: list[str], port: int, environment) -> Iterator[None]:
    process = subprocess.Popen(command, cwd=ROOT, env=dict(environment))
    try:
        _wait_for(process, port)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(process: subprocess.Popen, port: int) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise ReferenceMissing(f"{process.args[0]} ended at once; its own words are above.")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise ReferenceMissing(f"{process.args[0]} did not begin to listen within a minute.")
