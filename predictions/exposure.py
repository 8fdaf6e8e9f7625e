"""Who looks at a run's map sees scores of the project's places, and may review no unit there afterwards (DESIGN 5a)."""

from django.db.models import Exists, OuterRef, QuerySet

from labels import access
from labels.models import Assignment, Audit, Exposure, Project, SampleUnit


def would_lose(user, project: Project) -> int:
    """How many units this person would no longer be handed after looking: those that still wait for reviews, new to
    them, in the open audits they have begun to review in.

    Whoever reviews nothing here loses nothing that they would notice (0), and needs no warning. `record` is called
    before scores are shown whatever this says.
    """
    audits = list(_begun(user, project).values_list("pk", flat=True))
    if not audits or access.has_seen_scores(user, project):
        return 0
    waiting = Assignment.objects.filter(unit=OuterRef("pk")).exclude(state=Assignment.State.DONE)
    done = Assignment.objects.filter(unit=OuterRef("pk"), annotator=user, state=Assignment.State.DONE)
    seen = Exposure.objects.filter(unit=OuterRef("pk"), user=user)
    units = SampleUnit.objects.current().filter(Exists(waiting), ~Exists(done), ~Exists(seen), audit__in=audits)
    return units.count()


def _begun(user, project: Project) -> QuerySet[Audit]:
    theirs = Assignment.objects.filter(audit=OuterRef("pk"), annotator=user)
    return Audit.objects.filter(Exists(theirs), project=project, closed_at__isnull=True)


def record(user, project: Project) -> None:
    """Before scores are shown: remember that the person has seen those of every unit of the project, and of every place
    that a unit may be drawn at later."""
    access.expose_project(user, project, Exposure.What.SCORE)


def is_recorded(user, project: Project) -> bool:
    """Whether the person may no longer review any unit of the project, as after `record`."""
    return access.has_seen_scores(user, project)
