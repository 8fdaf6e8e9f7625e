"""Who looks at a run's map sees scores of the project's units, and may not review those afterwards (DESIGN 5a)."""

from django.core.cache import cache
from django.db.models import Exists, OuterRef, QuerySet

from labels import access
from labels.models import Assignment, Audit, Exposure, Project, SampleUnit

KEPT_S = 8


def would_lose(user, project: Project) -> int:
    """How many units this person would no longer be handed after looking: those that still wait for reviews, new to
    them, in the open audits they have begun to review in.

    Whoever reviews nothing here loses nothing that they would notice (0), and needs no warning. `record` is called
    before scores are shown whatever this says.
    """
    audits = list(_begun(user, project).values_list("pk", flat=True))
    if not audits:
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
    """Before scores are shown: remember that the person has seen those of every unit of the project."""
    access.expose_project(user, project, Exposure.What.SCORE)


def is_recorded(user, project: Project) -> bool:
    """Whether the person may no longer review any unit of the project, as after `record`. Which unit is the newest may
    be 8 seconds old, the time a tile may stay open after what it rests on has changed.

    Of every unit, not of the newest alone: a person may have seen the reviews of that one, and no scores.
    """
    newest = cache.get_or_set(f"newest-unit-{project.pk}", lambda: _newest(project), KEPT_S)
    if not newest:
        return True
    known = f"scores-seen-{project.pk}-{user.pk}-{newest}"  # stays true: exposures are never taken back
    if not cache.get(known):
        if _unseen(user, project).exists():
            return False
        cache.set(known, True)
    return True


def _unseen(user, project: Project) -> QuerySet[SampleUnit]:
    seen = Exposure.objects.filter(unit=OuterRef("pk"), user=user)
    return SampleUnit.objects.filter(~Exists(seen), audit__project=project)


def _newest(project: Project) -> int:
    newest = SampleUnit.objects.filter(audit__project=project).order_by("-pk").values_list("pk", flat=True).first()
    return newest or 0
