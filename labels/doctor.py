"""What the machine can and cannot do for the product, in plain words: `manage.py doctor`."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection

from labels import isolation
from labels.errors import LabelsError

LEAST_FREE_BYTES = 1024**3
EXTENSIONS = ("postgis", "unaccent", "pg_trgm")
OTHER_LAYERS = (
    "The other layers hold: one driver for each format and none that follows addresses, limits on memory, time and "
    "unpacked size, no secret and no path from a person."
)


@dataclass(frozen=True)
class Finding:
    says: str
    is_right: bool = True
    # What is not as it should be and can be lived with.
    is_warning: bool = False


def examine() -> Iterator[Finding]:
    """Every check, one after another; none stops the others."""
    for check in CHECKS:
        yield from check()


def gdal() -> Iterator[Finding]:
    import pyogrio
    import rasterio

    said = f"GDAL {rasterio.__gdal_version__} reads images, GDAL {pyogrio.__gdal_version_string__} reads registers."
    found = tuple(int(part) for part in rasterio.__gdal_version__.split(".")[:2])
    yield Finding(said if found >= (3, 9) else f"{said} At least 3.9 is needed.", found >= (3, 9))


def drivers() -> Iterator[Finding]:
    import pyogrio

    from labels.imagery.opening import ALLOWED_DRIVERS
    from labels.ingest.archives import DRIVERS

    missing = sorted(set(DRIVERS) - set(pyogrio.list_drivers()))
    allowed = f"Registers: {', '.join(sorted(DRIVERS))}, one at a time. Images: {', '.join(sorted(ALLOWED_DRIVERS))}."
    if missing:
        yield Finding(f"GDAL lacks {', '.join(missing)}: such files will be refused. {allowed}", is_right=False)
    else:
        yield Finding(f"Drivers allowed. {allowed}")


def reading_process() -> Iterator[Finding]:
    from labels.ingest.readers import open_rows

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.csv"
        path.write_text("id,longitude,latitude\n1,2,3\n")
        began = time.monotonic()
        try:
            open_rows(path)
        except LabelsError as error:
            yield Finding(f"The process that reads registers does not work: {error}", is_right=False)
        else:
            yield Finding(f"The process that reads registers works; it took {time.monotonic() - began:.1f} s to start.")


def network() -> Iterator[Finding]:
    prefix = isolation.without_network()
    if prefix and _sees_no_network(prefix):
        yield Finding("Files of strangers are opened by a process without a network.")
        return
    yield Finding(
        "This machine cannot make a process without a network (unshare --net is not allowed). Allow user namespaces, "
        f"or keep the worker from reaching the network. {OTHER_LAYERS}",
        is_warning=True,
    )


def _sees_no_network(prefix: tuple[str, ...]) -> bool:
    program = "import socket; print([name for _, name in socket.if_nameindex() if name != 'lo'])"
    ended = subprocess.run(  # noqa: S603  our own interpreter and program, a fixed argument list
        [*prefix, sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    return ended.stdout.strip() == "[]"


def database() -> Iterator[Finding]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version")
            version = cursor.fetchone()[0]
            cursor.execute("SELECT extname, extversion FROM pg_extension")
            found = dict(cursor.fetchall())
    except DatabaseError as error:
        yield Finding(f"PostgreSQL does not answer: {str(error).splitlines()[0]}", is_right=False)
        return
    missing = [name for name in EXTENSIONS if name not in found]
    if missing:
        yield Finding(f"PostgreSQL lacks {', '.join(missing)}: run manage.py migrate.", is_right=False)
    else:
        named = ", ".join(f"{name} {found[name]}" for name in EXTENSIONS)
        yield Finding(f"PostgreSQL {version} with {named}.")


def queue() -> Iterator[Finding]:
    # As the workers reach it: REDIS_URL may name a socket in Celery's way, which the client alone does not know.
    from kombu import Connection
    from kombu.exceptions import OperationalError
    from redis.exceptions import RedisError

    try:
        with Connection(settings.REDIS_URL, connect_timeout=5) as reached:
            version = reached.ensure_connection(max_retries=1).default_channel.client.info("server")
    except (OperationalError, RedisError, ValueError, KeyError, OSError) as error:
        yield Finding(f"Redis does not answer ({type(error).__name__}): jobs will wait.", is_right=False)
    else:
        yield Finding(f"Redis {version['redis_version']} answers.")


def media() -> Iterator[Finding]:
    root = Path(settings.MEDIA_ROOT)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=root):
            pass
    except OSError as error:
        yield Finding(f"MEDIA_ROOT ({root}) cannot be written: {error.strerror}.", is_right=False)
        return
    free = shutil.disk_usage(root).free
    room = f"{free / 1024**3:.1f} GiB are free."
    if free < LEAST_FREE_BYTES:
        yield Finding(f"MEDIA_ROOT ({root}) has little room: {room}", is_right=False)
    else:
        yield Finding(f"MEDIA_ROOT ({root}) can be written; {room}")


def memory() -> Iterator[Finding]:
    from labels.ingest.confined import MEMORY_MIB

    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    if total < MEMORY_MIB:
        yield Finding(f"The machine has {total} MiB; a reader may take {MEMORY_MIB} MiB.", is_warning=True)


CHECKS: list[Callable[[], Iterator[Finding]]] = [
    gdal,
    drivers,
    reading_process,
    network,
    memory,
    database,
    queue,
    media,
]
