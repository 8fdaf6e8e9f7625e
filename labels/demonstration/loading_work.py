"""The work of the demonstration's people: reviews, gold answers, adjudications and searched cells.

They are drawn from the truth, which is drawn again for it, and given through the verbs that real people's verdicts go
through: what the imagery cannot carry is refused to them too, and they answer unsure. Every id follows from what is
judged and by whom, so a second run adds nothing, and nothing is judged over what a person has judged meanwhile.
"""

from collections.abc import Iterator
from datetime import date
from itertools import combinations
from math import floor
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Min
from django.utils import timezone
from django.utils.translation import gettext as _

from labels import geo, ground_truth, jobs, looking, workflow
from labels.demonstration.annotators import CAREFUL, EXPERT, HASTY, USUAL, Annotator, Answer, Skill
from labels.demonstration.recipe import LOOKS, RECIPES, Recipe
from labels.demonstration.registers import Truth
from labels.demonstration.terrain import CELL_DEG
from labels.imagery.scenes import images_at
from labels.models import Audit, GoldAnswer, Job, Project, Review, SampleUnit, Scene
from labels.models.reviews import UnsureReason, Verdict

SKILLS = {"annotator1": CAREFUL, "annotator2": HASTY, "annotator3": USUAL}
PAIRS = list(combinations(SKILLS, 2))
AUDITED = {"survey": "audit-1", "cadastre": "audit-2"}
CELL_SEARCH = {"slug": "cell-search", "name": "Cell search"}
COARSE_ZOOM, FINE_ZOOM = 15, 16  # of the views: both show a 10 m pit
COARSEST_USED_M = 5.0
CELL_REACH_M = 800  # the circle around a grid cell's corners


def ask_once_imagery_is_there(project: Project, recipe: Recipe) -> Job | None:
    """Ask for the reviews when the last planned scene is loaded; two jobs that end together ask once."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"demonstration:{project.pk}"])
        wanted = {f"{scene.ident}.tif" for scene in recipe.scenes}
        loaded = Scene.objects.filter(source__project=project, original_name__in=wanted)
        gone = (Job.State.FAILED, Job.State.CANCELLED)
        parameters = {"recipe": recipe.name}
        asked = project.jobs.filter(kind=Job.Kind.JUDGE_DEMONSTRATION, parameters=parameters).exclude(state__in=gone)
        if loaded.values("original_name").distinct().count() < len(wanted) or asked.exists():
            return None
        return jobs.ask(
            project=project,
            kind=Job.Kind.JUDGE_DEMONSTRATION,
            subject=project.name,
            requested_by=_person("admin"),
            parameters=parameters,
        )


@jobs.work(Job.Kind.JUDGE_DEMONSTRATION)
def judge(job: jobs.RunningJob) -> dict:
    """Gold answers first, so that the reviews of their units are known as checks; disputes are settled last."""
    recipe, project = RECIPES[job.parameters["recipe"]], job.job.project
    for name, slug in AUDITED.items():
        work = RecordWork(recipe, name, project.audits.get(slug=slug))
        _do(job, _("gold answers"), work.gold_units(), work.answer_gold)
        _do(job, _("reviews"), work.looks(), lambda look, work=work: work.review(*look))
        _do(job, _("adjudications"), work.disputes(), work.settle)
    search = CellWork(recipe, project.audits.get(slug=CELL_SEARCH["slug"]))
    _do(job, _("cells"), search.looks(), lambda look: search.review(*look))
    search.close()
    recipe.forget()
    return {"reviews": Review.objects.filter(unit__audit__project=project).count()}


def _do(job: jobs.RunningJob, stage: str, things, work) -> None:
    things = list(things)
    job.begin(stage, n_total=len(things))
    for thing in job.counted(things):
        work(thing)


def _person(username: str):
    return get_user_model().objects.get(username=username)


def _uuid(*what) -> UUID:
    return uuid5(NAMESPACE_URL, " ".join(map(str, what)))


def _chance(recipe: Recipe, *what) -> np.random.Generator:
    """The same for the same judgement, in whatever project it is given."""
    return np.random.default_rng([recipe.seed, _uuid(*what).int])


class RecordWork:
    """The audit of one register."""

    def __init__(self, recipe: Recipe, name: str, audit: Audit):
        self.recipe, self.audit = recipe, audit
        self.n_reviewed = recipe.n_reviewed[name]
        self.n_gold = recipe.n_gold[name]
        self.facts: dict[str, Truth] = {fact.source_id: fact for fact in recipe.registers[name].truth}

    def units(self) -> list[SampleUnit]:
        """In the order in which they are handed out."""
        units = self.audit.units.select_related("site_record", "observation", "audit__project")
        return list(units.annotate(first=Min("assignments__order_key")).order_by("first", "pk"))

    def gold_units(self) -> list[SampleUnit]:
        """Every so manieth unit, judged or still open."""
        units = self.units()
        return units[:: max(1, len(units) // self.n_gold)][: self.n_gold]

    def looks(self) -> Iterator[tuple[SampleUnit, str]]:
        """Which of the first units is looked at by whom: two of the three, in turn."""
        for number, unit in enumerate(self.units()[: self.n_reviewed]):
            for username in PAIRS[number % len(PAIRS)]:
                yield unit, username

    def review(self, unit: SampleUnit, username: str) -> None:
        person = _person(username)
        if Review.objects.filter(unit=unit, annotator=person).exists():
            return
        uuid, answer = _uuid(unit.uuid, username), self._answer(unit, username, SKILLS[username])
        images = self._images(unit, answer)
        try:
            workflow.record_review(unit, person, _given(uuid, answer, images))
        except workflow.RejectNeedsLaterImage:
            workflow.record_review(unit, person, _unsure(uuid, UnsureReason.PREDATES_REPORT, answer, images))
        except workflow.RejectNeedsWholeDisc:
            workflow.record_review(unit, person, _unsure(uuid, UnsureReason.NO_IMAGE, answer, images))

    def _answer(self, unit: SampleUnit, who: str, skill: Skill) -> Answer:
        annotator = Annotator(self.recipe.country, LOOKS, skill)
        told, source_id = unit.observation, unit.site_record.source_id
        return annotator.judge(
            self.facts[source_id],
            (told.point.x, told.point.y),
            _chance(self.recipe, source_id, who),
            is_licence=told.polygon is not None,
        )

    def _images(self, unit: SampleUnit, answer: Answer) -> list[workflow.GivenImage]:
        point, radius_m = unit.observation.point, unit.search_radius_m
        bounds = looking.search_disc(point, radius_m).extent
        zoom = FINE_ZOOM if radius_m <= 1000 else COARSE_ZOOM
        return _images(self.audit.project, (point.x, point.y), radius_m, bounds, zoom, answer)

    def answer_gold(self, unit: SampleUnit) -> None:
        if GoldAnswer.objects.filter(unit=unit).exists():
            return
        answer = self._answer(unit, "gold", EXPERT)
        workflow.set_gold(unit, _person("lead"), _given(_uuid(unit.uuid, "gold"), answer, []))

    def disputes(self) -> list[SampleUnit]:
        """The share of the disputes that is settled, the first in the order of the units."""
        disputed = {
            outcome.unit_id
            for outcome in ground_truth.outcomes(self.audit)
            if outcome.state == ground_truth.State.DISPUTED
        }
        units = [unit for unit in self.units() if unit.pk in disputed]
        return units[: round(self.recipe.settle * len(units))]

    def settle(self, unit: SampleUnit) -> None:
        answer = self._answer(unit, "settled", EXPERT)
        decision = workflow.GivenDecision(
            uuid=_uuid(unit.uuid, "settled"),
            verdict=answer.verdict,
            reason=answer.reason,
            mark=answer.mark,
            mine_type=answer.mine_type,
            activity=answer.activity,
            size_class=answer.size_class,
            signs=list(answer.signs),
            confidence=answer.confidence,
            note=answer.note,
        )
        workflow.record_adjudication(unit, _person("adjudicator"), decision)


class CellWork:
    """The search of grid cells for mines that no register lists."""

    def __init__(self, recipe: Recipe, audit: Audit):
        self.recipe, self.audit = recipe, audit

    def looks(self) -> Iterator[tuple[SampleUnit, str]]:
        for number, unit in enumerate(self.audit.units.select_related("audit__project").order_by("grid_cell")):
            for username in PAIRS[number % len(PAIRS)]:
                yield unit, username

    def review(self, unit: SampleUnit, username: str) -> None:
        person = _person(username)
        if Review.objects.filter(unit=unit, annotator=person).exists():
            return
        lon, lat = geo.grid_cell_centre(unit.grid_cell)
        cell = floor(lon / CELL_DEG), floor(lat / CELL_DEG)
        annotator = Annotator(self.recipe.country, LOOKS, SKILLS[username])
        answer = annotator.search(cell, _chance(self.recipe, unit.grid_cell, username))
        bounds = geo.grid_cell_bounds(unit.grid_cell)
        images = _images(self.audit.project, (lon, lat), CELL_REACH_M, bounds, FINE_ZOOM, answer)
        if not images:
            answer = Answer(verdict=Verdict.UNSURE, reason=UnsureReason.TOO_COARSE, seconds=answer.seconds)
        workflow.record_review(unit, person, _given(_uuid(unit.uuid, username), answer, images))

    def close(self) -> None:
        Audit.objects.filter(pk=self.audit.pk, closed_at=None).update(closed_at=timezone.now())


def _images(project: Project, centre, radius_m: float, bounds, zoom: int, answer: Answer) -> list[workflow.GivenImage]:
    """The images around a place that are fine enough to judge on, each seen over the whole of the bounds."""
    dwell_ms = round(answer.seconds * 400)
    fine = [image for image in images_at(project, *centre, radius_m) if image["resolution_m"] <= COARSEST_USED_M]
    return [
        workflow.GivenImage(
            pane=pane,
            source=UUID(image["source"]),
            captured_on=date.fromisoformat(image["captured_on"]),
            zoom=zoom,
            views=[{"bounds": list(bounds), "zoom": zoom, "ms": dwell_ms}],
            dwell_ms=dwell_ms,
        )
        for pane, image in enumerate(fine, start=1)
    ]


def _given(uuid: UUID, answer: Answer, images: list[workflow.GivenImage]) -> workflow.GivenReview:
    return workflow.GivenReview(
        uuid=uuid,
        verdict=answer.verdict,
        reason=answer.reason,
        mark=answer.mark,
        other_mines=list(answer.other_mines),
        mine_type=answer.mine_type,
        activity=answer.activity,
        size_class=answer.size_class,
        signs=list(answer.signs),
        confidence=answer.confidence,
        note=answer.note,
        think_time_s=answer.seconds,
        images=images,
    )


def _unsure(uuid: UUID, reason: str, answer: Answer, images) -> workflow.GivenReview:
    """What is answered when the images do not carry a reject."""
    return _given(uuid, Answer(verdict=Verdict.UNSURE, reason=reason, seconds=answer.seconds), images)
