"""Import a register of generated rows, beside a bare COPY of the rows it makes into the same indexed tables.

    ./dev bench import [--rows N] [--rounds N] [--json]

`vs_copy` is the speed of reading, parsing, row flags, hashing, writing of records and observations and area membership,
as a share of the COPY's; `phases_vs_copy` is how many times the COPY's time the later stages of the job take (flags,
distances, duplicates). Both in the same round; rounds take turns and the medians count.
"""

import argparse
import json
import math
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from django.contrib.gis.geos import MultiPolygon, Polygon
from django.db import connection, transaction
from psycopg import sql

from labels import jobs
from labels.ingest import registers
from labels.models import Job, Project, ReferenceArea, ReferenceLayer, Register

# Everything that an import writes, in the order of its references.
TABLES = ("labels_siterecord", "labels_observation", "labels_editionrow", "labels_placement", "labels_recordflag")
# The stages that count as the import itself; what comes after the areas is told apart.
OWN_STAGES = ("reading rows", "publishing", "placing records")
WEST, SOUTH, WIDTH, HEIGHT = -14.0, 4.0, 8.0, 5.0
MAPPING = {
    "source_id": "code",
    "name": "nom du site",
    "longitude": "longitude",
    "latitude": "latitude",
    "observed_on": "date visite",
    "date_order": "day_first",
    "location_method": "origine localisation",
    "stated_region": "province",
    "mineral": "minerai",
    "legal_status": "statut",
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="import")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="asm_bench_import_") as folder:
        figures = measure(Path(folder), options.rows, options.rounds)
    for name, value in figures.items():
        print(f"{name:<18} {value}")
    if options.json:
        print(json.dumps(figures))
    return 0


def measure(folder: Path, n_rows: int, n_rounds: int, quiet_s: float = 120) -> dict:
    """The figures of so many rounds on a database that holds nothing else."""
    project = _project()
    path = folder / "register.csv"
    write_register(path, n_rows)
    own, later, copied, stages, peaks = [], [], [], [], []
    for number in range(n_rounds):
        wait_for_quiet(at_most_s=quiet_s)
        empty_tables()
        with peak_memory() as peak:
            times = import_once(project, path, number)
        peaks.append(peak["mib"])
        copied.append(copy_back(folder))
        own.append(sum(times.get(stage, 0) for stage in OWN_STAGES))
        later.append(sum(seconds for stage, seconds in times.items() if stage not in OWN_STAGES))
        stages.append(times | {"bare COPY": copied[-1]})
        told = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in stages[-1].items())
        print(f"round {number + 1}: {told}; load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return {
        "rows": n_rows,
        "vs_copy": round(statistics.median(copy / took for copy, took in zip(copied, own, strict=True)), 3),
        "phases_vs_copy": round(statistics.median(took / copy for copy, took in zip(copied, later, strict=True)), 2),
        "rows_per_s": round(n_rows / statistics.median(own)),
        "copy_rows_per_s": round(n_rows / statistics.median(copied)),
        "peak_mib": round(max(peaks), 1),
        "stages_s": {name: round(statistics.median(each[name] for each in stages), 2) for name in stages[0]},
    }


# ---- what is imported ----


def write_register(path: Path, n_rows: int) -> None:
    """Rows as a ministry has them: French, `;`, decimal points, words that repeat, some without a position."""
    numbers = random.Random(5)
    syllables = ["Ka", "Lu", "Mba", "Nzi", "Shi", "Bu", "Ri", "Fi"]
    minerals = ["Or", "Cassitérite", "Coltan", "Or, diamant", "Manganèse", "Or et cassitérite", "inconnu"]
    with path.open("w", encoding="utf-8") as file:
        file.write("code;nom du site;province;longitude;latitude;date visite;minerai;statut;")
        file.write("origine localisation;nombre de creuseurs\n")
        for number in range(n_rows):
            lon, lat = WEST + WIDTH * numbers.random(), SOUTH + HEIGHT * numbers.random()
            where = "0;0" if number % 500 == 7 else f"{lon:.6f};{lat:.6f}"
            name = "".join(numbers.choices(syllables, k=4))
            day = f"{numbers.randint(1, 28):02d}/{numbers.randint(1, 12):02d}/{numbers.randint(2009, 2023)}"
            said = f"{numbers.choice(minerals)};{numbers.choice(['valide', 'en cours', '', 'informel'])}"
            method = numbers.choice(["GPS", "GPS", "GPS (village)", "Approximation"])
            file.write(
                f"S{number:07d};{name} {numbers.randrange(99)};{_province(lon, lat)};{where};{day};{said};{method};"
                f"{numbers.randrange(500)}\n"
            )


def _province(lon: float, lat: float) -> str:
    return f"Province {int((lon - WEST) // 1)}-{int((lat - SOUTH) // 1)}"


def _project() -> Project:
    """A project with 40 made-up provinces with crooked borders and 200 commercial mines."""
    project = Project.objects.create(slug=f"bench-{time.time_ns()}", name="Bench", country="WDR")
    provinces = [
        (f"Province {x}-{y}", _crooked(WEST + x, SOUTH + y)) for x in range(int(WIDTH)) for y in range(int(HEIGHT))
    ]
    numbers = random.Random(8)
    mines = [
        (f"Mine {number}", _star(numbers, WEST + WIDTH * numbers.random(), SOUTH + HEIGHT * numbers.random()))
        for number in range(200)
    ]
    for kind, name, areas in (("admin", "Provinces", provinces), ("commercial", "Mines", mines)):
        layer = ReferenceLayer.objects.create(project=project, kind=kind, name=name, level=1, file_sha256="")
        ReferenceArea.objects.bulk_create(
            ReferenceArea(layer=layer, name=said, geometry=MultiPolygon(shape, srid=4326), area_km2=shape.area * 12_300)
            for said, shape in areas
        )
    return project


def _crooked(x: float, y: float, n: int = 200) -> Polygon:
    """A square of one degree whose sides wind; neighbours share the winding."""

    def wind(along: float, line: float) -> float:
        at_corner = math.sin(math.pi * (along % 1))
        return at_corner * (0.08 * math.sin(7 * along + line) + 0.003 * math.sin(90 * along))

    steps = [number / n for number in range(n)]
    south = [(x + t, y + wind(x + t, y)) for t in steps]
    east = [(x + 1 + wind(y + t, x + 1), y + t) for t in steps]
    north = [(x + 1 - t, y + 1 + wind(x + 1 - t, y + 1)) for t in steps]
    west = [(x + wind(y + 1 - t, x), y + 1 - t) for t in steps]
    ring = [*south, *east, *north, *west]
    return Polygon([*ring, ring[0]])


def _star(numbers: random.Random, x: float, y: float, n: int = 48) -> Polygon:
    radii = [0.02 * numbers.uniform(0.4, 1) for _ in range(n)]
    turns = [2 * math.pi * number / n for number in range(n)]
    ring = [(x + r * math.cos(turn), y + r * math.sin(turn)) for r, turn in zip(radii, turns, strict=True)]
    return Polygon([*ring, ring[0]])


# ---- importing and copying ----


def import_once(project: Project, path: Path, number: int) -> dict[str, float]:
    """Seconds of each stage of a real import job."""
    register = Register.objects.create(project=project, slug=f"bench-{time.time_ns()}", name=f"Bench {number}")
    begun: list[tuple[str, float]] = []

    def report(stage: str, n_done: int, n_total: int | None) -> None:
        if not begun or begun[-1][0] != stage:
            begun.append((stage, time.perf_counter()))

    jobs.run_now(
        project=project,
        kind=Job.Kind.LOAD_REGISTER,
        subject=register.slug,
        parameters=registers.parameters_of(register, MAPPING, path=path),
        report=report,
    )
    begun.append(("", time.perf_counter()))
    return {stage: after - at for (stage, at), (_next, after) in pairwise(begun)}


def empty_tables() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")


def copy_back(folder: Path) -> float:
    """Seconds that PostgreSQL needs for the same rows alone, constraints and indexes as they are, commit included."""
    for table in TABLES:
        with (
            connection.cursor() as cursor,
            (folder / table).open("wb") as file,
            cursor.copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))) as rows,
        ):
            for chunk in rows:
                file.write(chunk)
    empty_tables()
    start = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        for table in TABLES:
            with (
                (folder / table).open("rb") as file,
                cursor.copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as copy,
            ):
                while chunk := file.read(1 << 18):
                    copy.write(chunk)
    return time.perf_counter() - start


# ---- the machine ----


def wait_for_quiet(load: float = 1.5, *, at_most_s: float) -> None:
    """Figures of a busy machine say little; the load is printed beside them."""
    until = time.monotonic() + at_most_s
    while os.getloadavg()[0] > load and time.monotonic() < until:
        time.sleep(5)


@contextmanager
def peak_memory() -> Iterator[dict[str, float]]:
    """The most that this process and its children grew meanwhile, in MiB (PSS); PostgreSQL is not among them."""
    idle, stop = tree_mib(), threading.Event()
    found = {"mib": 0.0}

    def watch() -> None:
        while not stop.wait(0.2):
            found["mib"] = max(found["mib"], tree_mib() - idle)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def tree_mib() -> float:
    waiting, total = [os.getpid()], 0.0
    while waiting:
        pid = waiting.pop()
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) / 1024
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended while it was looked at
    return total


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
