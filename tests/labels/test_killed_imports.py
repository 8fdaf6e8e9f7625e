"""A real kill -9 of the process that imports or withdraws, at random batches of reading, placing and carrying over:
the job, taken up again, leaves the same rows as one that nobody killed."""

import csv
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from labels import editions, jobs, workflow
from labels.ingest import registers
from labels.models import Audit, Edition, Job, Project, Register
from tests.factories import make_area, make_project, square
from tests.registered import contents

pytestmark = pytest.mark.django_db(transaction=True)

CLONE = Path(__file__).resolve().parents[2]
MAPPING = {
    "source_id": "pcode",
    "longitude": "longitude",
    "latitude": "latitude",
    "observed_on": "visit_date",
    "name": "name",
}

# Small batches, and a line at each report of progress; the next batch begins when a line comes back.
WORKER = """
import sys
import django
django.setup()
import labels.work
from labels import jobs, placement
from labels.ingest import registers
from labels.workflow import carrying_over
registers.BATCH_ROWS, placement.BATCH_RECORDS, carrying_over.BATCH_RECORDS = 20, 30, 3
jobs.RunningJob.report_every_s = 0
write = jobs.RunningJob._write
def write_and_wait(self, **fields):
    write(self, **fields)
    print(fields, flush=True)
    sys.stdin.readline()
jobs.RunningJob._write = write_and_wait
jobs.run(int(sys.argv[1]))
"""


@pytest.fixture
def two_editions(shared_data, tmp_path) -> tuple[Path, Path]:
    """The sample of IPIS; and a later list of it: some sites moved, some gone, some new, one row wrong."""
    first = shared_data / "asm_records" / "ipis_drc_mine_visits_sample.csv"
    with first.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    site, lon, lat = header.index("pcode"), header.index("longitude"), header.index("latitude")
    later = [list(row) for number, row in enumerate(rows) if number % 17]
    for number, row in enumerate(later):
        if number % 6 == 0:
            row[lon] = str(float(row[lon]) + 0.02)
        if number % 31 == 0:
            row[site] = f"new-{number}"
    later[7][lat] = "far north"
    second = tmp_path / "later.csv"
    with second.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *later])
    return first, second


def load(project: Project, path: Path) -> Job:
    register = Register.objects.get_or_create(project=project, slug="ipis", name="IPIS")[0]
    parameters = registers.parameters_of(register, MAPPING, path=path)
    return jobs.ask(project=project, kind=Job.Kind.LOAD_REGISTER, parameters=parameters)


def begun(first: Path) -> Project:
    """A project with an edition, an area, and an audit of which some units are judged."""
    project = make_project()
    make_area(project, square(27, -4, 3))
    assert jobs.run(load(project, first).pk).state == Job.State.DONE
    register = project.registers.get()
    audit = workflow.open_census(
        project=project, register=register, slug="a", name="A", reviews_per_unit=2, seed=project.pk
    )
    person = get_user_model().objects.create_user(f"person-{project.pk}")
    for unit in audit.units.order_by("site_record__source_id")[:90]:
        given = workflow.GivenReview(uuid=uuid4(), verdict="unsure", reason="cloud")
        workflow.record_review(unit, person, given)
    return project


def killed(job: Job, chance: random.Random) -> list[str]:
    """Run it in a process of its own and kill that after a random number of batches, in the middle of the next."""
    database = connection.settings_dict["NAME"]
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(job.pk)],
        env=os.environ | {"DATABASE_NAME": database, "DJANGO_SETTINGS_MODULE": "asm_audit.settings"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=CLONE,
    )
    told = []
    for _batch in range(chance.randint(1, 36)):
        line = process.stdout.readline()
        if not line:
            break
        told.append(line)
        process.stdin.write("\n")
        process.stdin.flush()
    time.sleep(chance.uniform(0, 0.03))
    process.kill()
    process.communicate()
    Job.objects.filter(pk=job.pk).update(heartbeat_at="2020-01-01T00:00Z")
    return told


def gone_on_with(job: Job) -> Job:
    """By the next worker; the server may still be busy with the dead one's last statement."""
    editions._is_let_go(Register.objects.get(pk=job.parameters["register"]))
    done = jobs.run(job.pk) or Job.objects.get(pk=job.pk)
    assert done.state == Job.State.DONE, done.error
    return done


@pytest.fixture(scope="module")
def kept() -> dict:
    return {}


@pytest.fixture
def clean(two_editions, kept) -> dict:
    """What the later list, and then its withdrawal, leave where nobody kills them: the same for every seed."""
    if "withdrawn" not in kept:
        first, second = two_editions
        project = begun(first)
        done = jobs.run(load(project, second).pk)
        assert done.result["n_vanished"] > 5 and done.result["carried"]["n_asked_again"] > 3, done.result
        kept["sentence"], kept["imported"] = done.result["sentence"], contents(project.registers.get())
        edition = Edition.objects.get(register__project=project, number=2)
        assert jobs.run(editions.withdraw_edition(edition, None, "wrong").pk).state == Job.State.DONE
        kept["withdrawn"] = contents(project.registers.get())
        assert kept["withdrawn"] != kept["imported"]
    return kept


def no_staging() -> bool:
    return not [name for name in connection.introspection.table_names() if name.startswith("staging_register")]


@pytest.mark.parametrize("seed", range(3))
def test_an_import_killed_at_random_batches_equals_a_clean_one(two_editions, clean, seed):
    first, second = two_editions
    struck = begun(first)
    chance, job = random.Random(seed), load(struck, second)
    told = killed(job, chance)
    editions._is_let_go(struck.registers.get())
    told += killed(job, chance)
    assert told  # it got somewhere
    again = gone_on_with(job)
    assert again.result["sentence"] == clean["sentence"]
    assert contents(struck.registers.get()) == clean["imported"]
    assert no_staging()


@pytest.mark.parametrize("seed", [100])
def test_a_withdrawal_killed_at_random_batches_equals_a_clean_one(two_editions, clean, seed):
    first, second = two_editions
    struck = begun(first)
    assert jobs.run(load(struck, second).pk).state == Job.State.DONE
    work = editions.withdraw_edition(Edition.objects.get(register__project=struck, number=2), None, "wrong")
    assert killed(work, random.Random(seed))
    gone_on_with(work)
    assert contents(struck.registers.get()) == clean["withdrawn"]
    assert Audit.objects.get(project=struck).units.retired().exists()
