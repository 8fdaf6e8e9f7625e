"""Processes of ours that open files of strangers: without network, with limits, ended with us (DESIGN decision 8).

`start` is the caller's side. The other functions are the process's own first steps.
"""

import ctypes
import json
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import BinaryIO, TextIO

log = logging.getLogger(__name__)

HOME = Path(__file__).resolve().parent.parent
MIB = 2**20


def start(module: str, request: dict, *, environment: dict[str, str], errors: BinaryIO) -> subprocess.Popen:
    """Run a module of ours on a request (JSON on its input); raises BrokenPipeError where it ends at once."""
    child = subprocess.Popen(  # noqa: S603  our own interpreter and module, no shell, a fixed argument list
        [*without_network(), sys.executable, "-s", "-m", module],
        cwd=HOME,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
    )
    try:
        child.stdin.write(json.dumps(request | {"parent": os.getpid()}).encode())
        child.stdin.close()
    except BaseException:
        end(child)
        raise
    return child


def end(child: subprocess.Popen) -> None:
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()


def base_environment(folder: Path) -> dict[str, str]:
    """No secret and no proxy; GDAL's guards. Which drivers stay is the caller's to say."""
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "TMPDIR": str(folder),
        "CPL_TMPDIR": str(folder),
        "GDAL_DRIVER_PATH": "disable",
        "GDAL_PAM_ENABLED": "NO",
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
        "GDAL_HTTP_MAX_RETRY": "0",
        "GDAL_CACHEMAX": "256",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
    }


@cache
def without_network() -> tuple[str, ...]:
    """A prefix that gives a process an empty network, where the system lets us; tried once."""
    unshare = shutil.which("unshare")
    if unshare:
        prefix = (unshare, "--net", "--map-root-user")
        tried = subprocess.run([*prefix, "true"], capture_output=True, timeout=10, check=False)  # noqa: S603
        if tried.returncode == 0:
            return prefix
    log.warning("Files are read without a network of their own: unshare --net does not work here.")
    return ()


# ---- in the process itself ----


def own_output() -> TextIO:
    """Answers keep the pipe to the parent; whatever a library prints goes to the log."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def die_with(parent: int) -> None:
    """A worker that is killed takes its child along."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def limit(memory_mib: int, cpu_s: int, file_mib: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_mib * MIB, memory_mib * MIB))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_mib * MIB, file_mib * MIB))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def speak(language: str) -> None:
    """Sentences in the language of who asked. Of Django only its translations: no settings of ours, no database."""
    from django.apps import apps
    from django.conf import settings
    from django.utils import translation

    settings.configure(LOCALE_PATHS=[HOME / "asm_audit" / "locale"], USE_I18N=True)
    apps.populate(())
    translation.activate(language)
