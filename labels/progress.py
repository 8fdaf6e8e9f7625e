"""How far the work is: questions to the database, asked each time."""

from collections import Counter
from dataclasses import dataclass

from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from labels import access, ground_truth
from labels.models import Assignment, Audit, ImagerySource, Job, Placement, Project, Register, Release
from labels.reports import TELLING


@dataclass(frozen=True)
class Queue:
    """One person's view of an audit's queue; all counts are of wanted reviews."""

    audit: Audit
    n_wanted: int  # reviews the audit wants
    n_done: int  # given by anybody
    n_mine: int  # given by this person
    n_mine_today: int  # since midnight in the project's zone
    n_left_for_me: int  # this person could still give
    has_seen_scores: bool = False  # and may therefore give none
    cells: "SearchedCells | None" = None  # what was found, where it is asked for and the audit searches cells


def queue_of(audit: Audit, annotator) -> Queue:
    """A few queries, whatever the size of the audit's reviews. Retired units count for nobody."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    done = Q(state=Assignment.State.DONE)
    mine = done & Q(annotator=annotator)
    counts = (
        _assignments(audit)
        .filter(queue="sample")
        .aggregate(
            n_wanted=Count("pk"),
            n_done=Count("pk", filter=done),
            n_mine=Count("pk", filter=mine),
            n_mine_today=Count("pk", filter=mine & Q(review__created_at__gte=midnight)),
        )
    )
    has_seen_scores = access.has_seen_scores(annotator, audit.project)
    n_left = 0 if has_seen_scores else n_left_for(audit, annotator)
    return Queue(audit=audit, n_left_for_me=n_left, has_seen_scores=has_seen_scores, **counts)


def _assignments(audit: Audit) -> QuerySet[Assignment]:
    """Of the units that count."""
    return Assignment.objects.filter(audit=audit).exclude(unit__in=audit.units.retired())


def n_left_for(audit: Audit, annotator) -> int:
    """Records that still want a review and that this person has neither judged nor seen judged.

    Grid cells are handed to nobody by the review page.
    """
    return (
        audit.units.current()
        .filter(queue="sample", grid_cell="")
        .filter(Q(assignments__state="open") | Q(assignments__state="leased"))
        .exclude(assignments__in=Assignment.objects.filter(annotator=annotator, state="done"))
        .exclude(exposures__user=annotator)
        .distinct()
        .count()
    )


@dataclass(frozen=True)
class SearchedCells:
    """What a searched-cell audit found so far; counts only."""

    n_units: int
    n_searched: int  # judged by somebody, settled or not
    n_with_mine: int  # an artisanal mine was marked
    n_clear: int  # searched, and nothing marked
    n_unknown: int  # judged, but unsure, disputed, seen in part or with commercial mines only
    told: list[int]  # ids of the units judged, where so few counts tell what single reviews said


def searched_cells(audit: Audit) -> SearchedCells:
    units = ground_truth.cell_outcomes(audit)
    judged = [unit for unit in units if unit.state != ground_truth.State.OPEN]
    labels = Counter(unit.label for unit in judged)
    return SearchedCells(
        n_units=len(units),
        n_searched=len(judged),
        n_with_mine=labels[1],
        n_clear=labels[0],
        n_unknown=labels[None],
        told=[unit.unit_id for unit in judged] if len(judged) < TELLING else [],
    )


@dataclass(frozen=True)
class Steps:
    """What a project has and what it still needs, in the order a team goes."""

    n_records: int
    n_unlocated: int
    n_registers: int
    n_areas: int
    n_sources: int
    n_audits: int
    n_releases: int


def next_steps(project: Project) -> Steps:
    return Steps(
        n_records=Placement.objects.filter(register__project=project).count(),
        n_unlocated=Placement.objects.filter(register__project=project, reported_point=None).count(),
        n_registers=Register.objects.filter(project=project).count(),
        n_areas=project.reference_layers.filter(retired_at=None).count(),
        n_sources=ImagerySource.objects.filter(project=project).count(),
        n_audits=Audit.objects.filter(project=project).count(),
        n_releases=Release.objects.filter(project=project).count(),
    )


def people_of(audit: Audit) -> list[dict]:
    """Who has given how many reviews of the audit, and when last; the most active first."""
    done = _assignments(audit).filter(state=Assignment.State.DONE)
    return list(
        done.values("annotator__username").annotate(n=Count("pk"), last=Max("review__created_at")).order_by("-n")
    )


def n_unfinished_jobs(project: Project) -> int:
    """Jobs that run or wait: what they bring is not there yet."""
    return project.jobs.filter(state__in=[Job.State.QUEUED, Job.State.RUNNING]).count()
