"""The work of the demonstration's people: reviews, gold answers, adjudications and searched cells.

They are drawn from the truth, which is drawn again for it, and given through the verbs that real people's verdicts go
through: what the imagery cannot carry is refused to them too, and they answer unsure. Every id follows from what is
judged and by whom, so a second run adds nothing, and nothing is judged over what a person has judged meanwhile.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import date, timedelta
from itertools import combinations
from math import floor
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labels import geo, ground_truth, jobs, looking, rules, workflow
from labels.demonstration.annotators import CAREFUL, EXPERT, HASTY, USUAL, Annotator, Answer, Skill
from labels.demonstration.recipe import LOOKS, RECIPES, Recipe
from labels.demonstration.registers import Truth
from labels.demonstration.terrain import CELL_DEG, Mine
from labels.errors import Conflict, NotAllowed
from labels.imagery.choosing import default_pair
from labels.imagery.scenes import DatedImage, images_at
from labels.models import Adjudication, Assignment, Audit, GoldAnswer, Job, Project, Review, SampleUnit, Scene
from labels.models.reviews import MineType, UnsureReason, Verdict

SKILLS = {"annotator1": CAREFUL, "annotator2": HASTY, "annotator3": USUAL}
PAIRS = list(combinations(SKILLS, 2))
AUDITED = {"survey": "audit-1", "cadastre": "audit-2"}
CELL_SEARCH = {"slug": "cell-search", "name": "Cell search"}
COARSE_ZOOM, FINE_ZOOM = 15, 16  # of the views: both show a 10 m pit
CELL_REACH_M = 800  # the circle around a grid cell's corners


def one_at_a_time(project: Project) -> None:
    """Hold everybody else who asks for this demonstration's jobs until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"demonstration:{project.pk}"])


def ask_once_imagery_is_there(project: Project, recipe: Recipe) -> Job | None:
    """Ask for the reviews when the last planned scene is loaded; two jobs that end together ask once."""
    with transaction.atomic():
        one_at_a_time(project)
        wanted = {f"{scene.ident}.tif" for scene in recipe.scenes}
        loaded = Scene.objects.filter(source__project=project, original_name__in=wanted)
        gone = (Job.State.FAILED, Job.State.CANCELLED)
        parameters = {"recipe": recipe.name}
        asked = project.jobs.filter(kind=Job.Kind.JUDGE_DEMONSTRATION, parameters=parameters).exclude(state__in=gone)
        if loaded.values("original_name").distinct().count() < len(wanted) or asked.exists():
            return None
        return ask_again(project, recipe)


def ask_again(project: Project, recipe: Recipe) -> Job:
    """Ask for the reviews, whatever was asked before: those that are there are left alone."""
    return jobs.ask(
        project=project,
        kind=Job.Kind.JUDGE_DEMONSTRATION,
        subject=project.name,
        requested_by=_person("admin"),
        parameters={"recipe": recipe.name},
    )


def judge(job: jobs.RunningJob) -> dict:
    """Gold answers first, so that the reviews of their units are known as checks; disputes are settled last."""
    recipe, project = RECIPES[job.parameters["recipe"]], job.job.project
    try:
        for name, slug in AUDITED.items():
            work = RecordWork(recipe, name, project.audits.get(slug=slug))
            _do(job, _("gold answers"), work.gold_units(), work.answer_gold)
            _do(job, _("reviews"), work.looks(), lambda look, work=work: work.review(*look))
            _do(job, _("adjudications"), work.to_settle(), work.settle)
        search = CellWork(recipe, project.audits.get(slug=CELL_SEARCH["slug"]))
        _do(job, _("cells"), search.looks(), lambda look: search.review(*look))
        _do(job, _("adjudications"), search.to_settle(), search.settle)
        search.close()
    finally:
        recipe.forget()
    return {"reviews": Review.objects.filter(unit__audit__project=project).count()}


def _do(job: jobs.RunningJob, stage: str, things: Iterable, work: Callable) -> None:
    """One after another; what a person's own work has made impossible meanwhile is left out."""
    things = list(things)
    job.begin(stage, n_total=len(things))
    for thing in job.counted(things):
        with suppress(NotAllowed, Conflict):
            work(thing)


def _person(username: str):
    return get_user_model().objects.get(username=username)


def _uuid(*what) -> UUID:
    return uuid5(NAMESPACE_URL, " ".join(map(str, what)))


def _chance(recipe: Recipe, *what) -> np.random.Generator:
    """The same for the same judgement, in whatever project it is given."""
    return np.random.default_rng([recipe.seed, _uuid(*what).int])


def _lease(unit: SampleUnit, person, seconds: float) -> bool:
    """Take an open Assignment as if it had been handed out when the look began; False when none is left."""
    now = timezone.now()
    free = unit.assignments.filter(state=Assignment.State.OPEN, annotator=None)
    with transaction.atomic():
        assignment = free.select_for_update(skip_locked=True).order_by("order_key").first()
        if assignment is None:
            return False
        assignment.state, assignment.annotator = Assignment.State.LEASED, person
        assignment.leased_at = now - timedelta(seconds=seconds + 1)
        assignment.leased_until = now + timedelta(seconds=settings.LEASE_S)
        assignment.save()
    return True


class Work:
    """What the fictional people do in one audit."""

    def __init__(self, recipe: Recipe, audit: Audit):
        self.recipe, self.audit = recipe, audit
        self._annotators: dict[Skill, Annotator] = {}

    def annotator(self, skill: Skill) -> Annotator:
        if skill not in self._annotators:
            self._annotators[skill] = Annotator(self.recipe.country, LOOKS, skill, self.recipe.clouded)
        return self._annotators[skill]

    def review(self, unit: SampleUnit, username: str) -> None:
        """One look; none where the person has judged the unit, or nobody's look is wanted any more."""
        person = _person(username)
        if Review.objects.filter(unit=unit, annotator=person).exists():
            return
        answer = self.answer(unit, username, SKILLS[username])
        if _lease(unit, person, answer.seconds):
            self.record(unit, person, _uuid(unit.uuid, username), answer)

    def answer(self, unit: SampleUnit, who: str, skill: Skill) -> Answer:
        raise NotImplementedError

    def record(self, unit: SampleUnit, person, uuid: UUID, answer: Answer) -> None:
        raise NotImplementedError


class RecordWork(Work):
    """The audit of one register."""

    def __init__(self, recipe: Recipe, name: str, audit: Audit):
        super().__init__(recipe, audit)
        self.n_reviewed = recipe.n_reviewed[name]
        self.n_gold = recipe.n_gold[name]
        self.facts: dict[str, Truth] = {fact.source_id: fact for fact in recipe.registers[name].truth}

    def units(self) -> list[SampleUnit]:
        """In one shuffled order, whatever people have judged."""
        units = self.audit.units.current().select_related("site_record", "observation", "audit__project")
        units = sorted(units, key=lambda unit: unit.site_record.source_id)
        return [units[k] for k in np.random.default_rng(self.recipe.seed).permutation(len(units))]

    def gold_units(self) -> list[SampleUnit]:
        """Every so manieth unit, judged or still open."""
        units = self.units()
        return units[:: max(1, len(units) // self.n_gold)][: self.n_gold]

    def looks(self) -> Iterator[tuple[SampleUnit, str]]:
        """Which of the first units is looked at by whom: two of the three, in turn."""
        for number, unit in enumerate(self.units()[: self.n_reviewed]):
            for username in PAIRS[number % len(PAIRS)]:
                yield unit, username

    def record(self, unit: SampleUnit, person, uuid: UUID, answer: Answer) -> None:
        images = self._images(unit, answer)
        try:
            workflow.record_review(unit, person, _given(uuid, answer, images))
        except workflow.RejectNeedsLaterImage:
            workflow.record_review(unit, person, _given(uuid, _unsure(UnsureReason.PREDATES_REPORT, answer), images))
        except workflow.RejectNeedsWholeDisc:
            workflow.record_review(unit, person, _given(uuid, _unsure(UnsureReason.NO_IMAGE, answer), images))

    def answer(self, unit: SampleUnit, who: str, skill: Skill) -> Answer:
        told, source_id = unit.observation, unit.site_record.source_id
        return self.annotator(skill).judge(
            self.facts[source_id],
            (told.point.x, told.point.y),
            _chance(self.recipe, source_id, who),
            is_licence=told.polygon is not None,
        )

    def _images(self, unit: SampleUnit, answer: Answer) -> list[workflow.GivenImage]:
        """The images fine enough to judge on, seen over the whole search disc."""
        point, radius_m = unit.observation.point, unit.search_radius_m
        bounds = looking.search_disc(point, radius_m).extent
        period = rules.report_period(unit.observation.observed_on, unit.observation.date_precision)
        zoom = FINE_ZOOM if radius_m <= 1000 else COARSE_ZOOM
        return _images(
            _own_images(self.audit.project, point.x, point.y, radius_m),
            period[1].isoformat() if period else None,
            bounds,
            zoom,
            answer,
            None if answer.mine is None else self.recipe.country.mines[answer.mine],
        )

    def _known(self, unit: SampleUnit, who: str) -> Answer:
        """What an expert says on these images: no reject where they show too little of the disc after the report."""
        answer = self.answer(unit, who, EXPERT)
        if answer.verdict != Verdict.REJECT:
            return answer
        point, told = unit.observation.point, unit.observation
        period = rules.report_period(told.observed_on, told.date_precision)
        shares = [
            image["share_covered"]
            for image in _own_images(self.audit.project, point.x, point.y, unit.search_radius_m)
            if image["resolution_m"] <= rules.USEFUL_RESOLUTION_M
            and not rules.predates_report(date.fromisoformat(image["captured_on"]), period)
        ]
        if not shares:
            return _unsure(UnsureReason.PREDATES_REPORT, answer)
        return answer if max(shares) >= rules.SHARE_FOR_REJECT else _unsure(UnsureReason.NO_IMAGE, answer)

    def answer_gold(self, unit: SampleUnit) -> None:
        if not GoldAnswer.objects.filter(unit=unit).exists():
            given = _given(_uuid(unit.uuid, "gold"), self._known(unit, "gold"), [])
            workflow.set_gold(unit, _person("lead"), given)

    def to_settle(self) -> list[SampleUnit]:
        """The share of the disputes that is settled, the first in the order of the units; as many if asked again."""
        disputed = {
            outcome.unit_id
            for outcome in ground_truth.outcomes(self.audit)
            if outcome.state in (ground_truth.State.DISPUTED, ground_truth.State.ADJUDICATED)
        }
        units = [unit for unit in self.units() if unit.pk in disputed]
        return units[: round(self.recipe.settle * len(units))]

    def settle(self, unit: SampleUnit) -> None:
        if Adjudication.objects.filter(unit=unit).exists():
            return
        answer = self._known(unit, "settled")
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
            is_same_mine=answer.is_same_mine,
            note=answer.note,
        )
        workflow.record_adjudication(unit, _person("adjudicator"), decision)


def _own_images(project: Project, lon: float, lat: float, radius_m: float) -> list[DatedImage]:
    """The simulated annotators look at the pictures they were drawn for, whatever the provider shows of them."""
    return [image for image in images_at(project, lon, lat, radius_m) if not image["key"]]


class CellWork(Work):
    """The search of grid cells for mines that no register lists."""

    def looks(self) -> Iterator[tuple[SampleUnit, str]]:
        for number, unit in enumerate(self.audit.units.select_related("audit__project").order_by("grid_cell")):
            for username in PAIRS[number % len(PAIRS)]:
                yield unit, username

    def record(self, unit: SampleUnit, person, uuid: UUID, answer: Answer) -> None:
        found = _own_images(self.audit.project, *geo.grid_cell_centre(unit.grid_cell), CELL_REACH_M)
        fine = [image for image in found if image["resolution_m"] <= rules.USEFUL_RESOLUTION_M]
        if not fine:
            answer = _unsure(UnsureReason.TOO_COARSE, answer)
        elif max(image["share_covered"] for image in fine) < rules.SHARE_FOR_CLEAR_CELL:
            answer = _unsure(UnsureReason.NO_IMAGE, answer)
        images = _images(found, None, geo.grid_cell_bounds(unit.grid_cell), FINE_ZOOM, answer, None)
        workflow.record_review(unit, person, _given(uuid, answer, images))

    def answer(self, unit: SampleUnit, who: str, skill: Skill) -> Answer:
        lon, lat = geo.grid_cell_centre(unit.grid_cell)
        cell = floor(lon / CELL_DEG), floor(lat / CELL_DEG)
        return self.annotator(skill).search(cell, _chance(self.recipe, unit.grid_cell, who))

    def to_settle(self) -> list[SampleUnit]:
        disputed = {
            outcome.unit_id
            for outcome in ground_truth.cell_outcomes(self.audit)
            if outcome.state == ground_truth.State.DISPUTED
        }
        return [unit for unit in self.audit.units.order_by("grid_cell") if unit.pk in disputed]

    def settle(self, unit: SampleUnit) -> None:
        """With the review that found what an expert finds, else as unsure."""
        wanted = _has_artisanal(kind for *_, kind in self.answer(unit, "settled", EXPERT).other_mines)
        for review in unit.reviews.filter(verdict=Verdict.SEARCHED, successor=None, retraction=None).order_by("pk"):
            if _has_artisanal(mark.mine_type for mark in review.marks.all()) == wanted:
                how = {"settled_with": review.uuid}
                break
        else:
            how = {"verdict": Verdict.UNSURE, "reason": UnsureReason.AMBIGUOUS_GROUND}
        decision = workflow.GivenDecision(uuid=_uuid(unit.uuid, "settled"), **how)
        workflow.record_adjudication(unit, _person("adjudicator"), decision)

    def close(self) -> None:
        Audit.objects.filter(pk=self.audit.pk, closed_at=None).update(closed_at=timezone.now())


def _has_artisanal(mine_types: Iterable[str]) -> bool:
    return any(mine_type != MineType.COMMERCIAL for mine_type in mine_types)


def _images(found, report_ends, bounds, zoom: int, answer: Answer, mine: Mine | None) -> list[workflow.GivenImage]:
    """The images fine enough to judge on, each seen over the whole of the bounds; the first two are on screen."""
    fine = [image for image in found if image["resolution_m"] <= rules.USEFUL_RESOLUTION_M]
    shown = [found[index] for index in default_pair(found, report_ends)]
    fine.sort(key=lambda image: image not in shown)
    dwell_ms = round(answer.seconds * 800 / max(1, len(fine)))
    return [
        workflow.GivenImage(
            pane=min(number, 2),
            source=UUID(image["source"]),
            captured_on=date.fromisoformat(image["captured_on"]),
            zoom=zoom,
            views=[{"bounds": list(bounds), "zoom": zoom, "ms": dwell_ms}],
            dwell_ms=dwell_ms,
            sight=_sight(answer, mine, date.fromisoformat(image["captured_on"])),
            was_on_screen_at_verdict=image in shown,
        )
        for number, image in enumerate(fine, start=1)
    ]


def _sight(answer: Answer, mine: Mine | None, on: date) -> str:
    if answer.verdict in (Verdict.UNSURE, Verdict.SEARCHED):
        return ""
    return "seen" if mine is not None and mine.is_visible(on) else "not_seen"


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
        is_same_mine=answer.is_same_mine,
        note=answer.note,
        think_time_s=answer.seconds,
        images=images,
    )


def _unsure(reason: str, answer: Answer) -> Answer:
    """What is answered when the images do not carry the verdict."""
    return Answer(verdict=Verdict.UNSURE, reason=reason, seconds=answer.seconds)
