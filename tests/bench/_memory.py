"""The most memory a process has held. What `getrusage` says begins with that of the process that started it."""

from pathlib import Path


def peak_kib() -> int:
    """Resident memory of this process at its largest, since its program began."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
