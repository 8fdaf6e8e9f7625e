"""Opening an audit as a job: drawing a million units takes minutes."""

from django.db import transaction
from django.urls import reverse
from django.utils.text import slugify
from django.utils.translation import gettext as _

from labels import jobs, workflow
from labels.errors import Conflict
from labels.models import Audit, Job, Project, Register
from labels.models.audits import Queue


def slug_for(name: str) -> str:
    return slugify(name)[:50]


def ask(
    *, project: Project, requested_by, name: str, register: Register, reviews_per_unit: int, same_site_m: float
) -> Job:
    """Ask for a census of the register."""
    return jobs.ask(
        project=project,
        kind=Job.Kind.OPEN_AUDIT,
        subject=name,
        requested_by=requested_by,
        parameters=parameters(
            name=name, register=register, reviews_per_unit=reviews_per_unit, same_site_m=same_site_m, seed=1
        ),
    )


def parameters(*, name: str, register: Register, reviews_per_unit: int, same_site_m: float, seed: int) -> dict:
    return {
        "name": name,
        "register": register.pk,
        "reviews_per_unit": reviews_per_unit,
        "same_site_m": same_site_m,
        "seed": seed,
    }


def cell_parameters(*, name: str, n: int, reviews_per_unit: int, same_site_m: float, seed: int) -> dict:
    """Of a job that draws grid cells."""
    return {
        "name": name,
        "frame": Audit.Frame.CELLS.value,
        "n": n,
        "reviews_per_unit": reviews_per_unit,
        "same_site_m": same_site_m,
        "seed": seed,
    }


@jobs.work(Job.Kind.OPEN_AUDIT)
def open_audit(running: jobs.RunningJob) -> dict:
    """A second delivery finds the audit by its slug and adds nothing."""
    job, asked = running.job, running.parameters
    running.begin(_("drawing units"))
    with transaction.atomic():
        audit = Audit.objects.filter(project=job.project, slug=slug_for(asked["name"])).first()
        if audit is None:
            audit = _open(job, asked)
        elif not _is_the_one(audit, asked):
            raise Conflict(_("An audit of this project already has this name."))
        running.still_mine()
    if audit.register:
        # An import that ended between the drawing and its commit saw none of these units.
        workflow.carry_over(audit.register)
    return {
        "page": reverse("labels:audit", args=[job.project.slug, audit.slug]),
        "units": audit.units.current().filter(queue=Queue.SAMPLE).count(),
        "population": audit.n_population,
        "without_position": audit.n_unlocated,
    }


def _open(job: Job, asked: dict) -> Audit:
    common = {
        "project": job.project,
        "slug": slug_for(asked["name"]),
        "name": asked["name"],
        "opened_by": job.requested_by,
        "seed": asked["seed"],
        "reviews_per_unit": asked["reviews_per_unit"],
        "same_site_m": asked["same_site_m"],
    }
    if asked.get("frame") == Audit.Frame.CELLS:
        return workflow.open_cell_search(n=asked["n"], **common)
    return workflow.open_census(register=Register.objects.get(pk=asked["register"], project=job.project), **common)


def _is_the_one(audit: Audit, asked: dict) -> bool:
    """Whether the audit is what was asked for, drawn before."""
    if asked.get("frame") != Audit.Frame.CELLS:
        return audit.register_id == asked["register"]
    drawn = (audit.frame, audit.seed, audit.units.current().filter(queue=Queue.SAMPLE).count())
    return drawn == (Audit.Frame.CELLS, asked["seed"], asked["n"])
