"""The demonstration comes in through the same doors as any other data, and a second time changes nothing."""

import json
from dataclasses import replace
from uuid import uuid4

import pytest

from labels import ground_truth, jobs, workflow
from labels.demonstration import loading, loading_imagery, loading_work, textures
from labels.demonstration.recipe import CORNER, RECIPES
from labels.errors import BadInput
from labels.models import (
    Adjudication,
    Audit,
    GoldAnswer,
    ImagerySource,
    Job,
    Membership,
    Observation,
    Project,
    Review,
    Scene,
    SiteRecord,
)

TINY = replace(
    CORNER,
    name="tiny",
    bounds=(0.38, 1.18, 0.41, 1.21),
    n_mines=5,
    n_records={"cadastre": 7, "survey": 4},
    n_reviewed={"cadastre": 5, "survey": 4},
    n_gold={"cadastre": 2, "survey": 1},
    n_cells=4,
    parts={"archive": 1},
    settle=0.5,
)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A village's surroundings, loaded as a whole in seconds."""
    monkeypatch.setitem(RECIPES, "tiny", replace(TINY))
    # Drawn once for all: that every process draws the same is for test_demonstration_drawing.
    monkeypatch.setattr(textures, "forget", lambda: None)
    logins = tmp_path / "state.json"
    logins.write_text(json.dumps({"logins": {"annotator1": "a quiet pass phrase"}}))
    monkeypatch.setenv("ASM_DEMO_LOGINS", str(logins))
    return RECIPES["tiny"]


def load(recipe, files) -> Project:
    return loading.load(lambda line: None, recipe=recipe, files=files)


def do_jobs(project: Project) -> list[Job]:
    done = []
    while job := project.jobs.filter(state=Job.State.QUEUED).order_by("pk").first():
        done.append(jobs.run(job.pk))
    return done


def counts() -> dict[str, int]:
    models = (SiteRecord, Observation, Scene, Audit, Review, Membership, Job, GoldAnswer, Adjudication)
    return {model.__name__: model.objects.count() for model in models}


def work_of(project: Project) -> set:
    """What was drawn and judged, without the ids that each database gives."""
    reviews = Review.objects.filter(unit__audit__project=project)
    return {
        *Scene.objects.filter(source__project=project).values_list("original_name", "sha256"),
        *reviews.values_list("unit__site_record__source_id", "annotator__username", "verdict", "mark", "note"),
    }


@pytest.mark.django_db
def test_it_loads_once_and_elsewhere_after_a_stop_with_equal_bytes(tiny, tmp_path, monkeypatch):
    project = load(tiny, tmp_path / "files")
    assert Scene.objects.count() == 0
    assert loading_work.ask_once_imagery_is_there(project, tiny) is None
    *drawn, judged = do_jobs(project)
    assert {job.state for job in (*drawn, judged)} == {Job.State.DONE}
    assert {job.kind for job in drawn} == {Job.Kind.DRAW_SCENES}
    assert judged.kind == Job.Kind.JUDGE_DEMONSTRATION
    assert loading_work.ask_once_imagery_is_there(project, tiny) is None
    first = counts()
    assert (first["SiteRecord"], first["Membership"], first["GoldAnswer"]) == (11, 6, 3)
    assert first["Scene"] == len(tiny.scenes)
    assert first["Review"] == 2 * (5 + 4 + 4)
    is_judged_settled_and_checked(project)

    load(tiny, tmp_path / "files")
    assert do_jobs(project) == []
    assert counts() == first
    # Asked again, as after a kill, it adds nothing.
    jobs.run(loading_work.ask_again(project, tiny).pk)
    assert counts() == first | {"Job": first["Job"] + 1}

    monkeypatch.setitem(RECIPES, "tiny", replace(TINY))
    monkeypatch.setattr(loading, "PROJECT", loading.PROJECT | {"slug": "elsewhere"})
    again = stopped_after_the_first_picture(tmp_path / "again", monkeypatch)
    load(RECIPES["tiny"], tmp_path / "again")
    kept = Scene.objects.get(source__project=again).uuid
    assert {job.state for job in do_jobs(again)} == {Job.State.DONE}
    assert Scene.objects.filter(uuid=kept).exists()
    assert Scene.objects.filter(source__project=again).count() == len(tiny.scenes)
    assert work_of(again) == work_of(project)


def is_judged_settled_and_checked(project: Project) -> None:
    survey, cadastre, cells = (project.audits.get(slug=slug) for slug in ("audit-1", "audit-2", "cell-search"))
    for audit, n in ((survey, 4), (cadastre, 5)):
        judged = [outcome for outcome in ground_truth.outcomes(audit) if outcome.n_reviews]
        assert [outcome.n_reviews for outcome in judged] == [2] * n
    assert cells.closed_at is not None
    assert {outcome.n_reviews for outcome in ground_truth.cell_outcomes(cells)} == {2}
    assert not any(o.state == ground_truth.State.DISPUTED for o in ground_truth.cell_outcomes(cells))

    reviews = Review.objects.filter(unit__audit__project=project)
    checked = set(reviews.filter(kind_of_check="gold").values_list("unit", flat=True))
    golden = set(GoldAnswer.objects.values_list("unit", flat=True))
    assert checked == golden & set(reviews.values_list("unit", flat=True)) != set()
    assert not reviews.filter(lease_was_lost=True).exists()
    assert not reviews.filter(held_time_s=None).exists()
    for review in reviews.exclude(verdict__in=["unsure", "searched"]):
        assert {image.sight for image in review.images.all()} <= {"seen", "not_seen"}
        assert review.images.filter(was_on_screen_at_verdict=True).count() <= 2


def stopped_after_the_first_picture(files, monkeypatch) -> Project:
    project = load(RECIPES["tiny"], files)
    real, n_loaded = loading_imagery.loading.add_picture, []

    def breaks_once(*arguments, **named):
        if len(n_loaded) == 1:
            raise BadInput("The disk is full.")
        n_loaded.append(1)
        return real(*arguments, **named)

    with monkeypatch.context() as broken:
        broken.setattr(loading_imagery.loading, "add_picture", breaks_once)
        states = [job.state for job in do_jobs(project)]
    assert states.count(Job.State.FAILED) == len(states) - 1
    assert Scene.objects.filter(source__project=project).count() == 1
    assert not Review.objects.filter(unit__audit__project=project).exists()
    return project


@pytest.mark.django_db
def test_what_people_do_meanwhile_stands_and_stops_nothing(tiny, tmp_path):
    project = load(tiny, tmp_path)
    for username in ("annotator1", "lead", "adjudicator"):
        person = loading_work._person(username)
        for unit in Audit.objects.get(slug="audit-1").units.order_by("pk"):
            given = workflow.GivenReview(uuid=uuid4(), verdict="unsure", reason="cloud")
            workflow.record_review(unit, person, given)
    by_people = set(Review.objects.values_list("uuid", flat=True))
    assert {job.state for job in do_jobs(project)} == {Job.State.DONE}
    assert by_people <= set(Review.objects.filter(successor=None).values_list("uuid", flat=True))
    assert not GoldAnswer.objects.filter(unit__audit__slug="audit-1").exists()
    assert Audit.objects.get(slug="cell-search").closed_at is not None


@pytest.mark.django_db
def test_long_drawing_stands_before_nothing_and_no_other_recipe_mixes_in(tiny, tmp_path, settings):
    project = load(tiny, tmp_path)
    queues = {job.queue for job in project.jobs.filter(kind=Job.Kind.DRAW_SCENES)}
    assert queues == {settings.SLOW_QUEUE} != {Job(kind=Job.Kind.LOAD_REGISTER).queue}
    assert {queue.name for queue in settings.CELERY_TASK_QUEUES} >= queues | {"celery"}
    with pytest.raises(BadInput, match="tiny"):
        load(RECIPES["corner"], tmp_path)


@pytest.mark.django_db
def test_a_displaced_scene_is_a_source_that_carries_its_offset(tiny, project):
    planned = replace(tiny.scenes[0], source="skyline", offset_m=(14.0, -9.0))
    source = loading_imagery.source_of(project, planned)
    assert (source.offset_east_m, source.offset_north_m) == (-14.0, 9.0)
    assert source != loading_imagery.source_of(project, replace(planned, offset_m=(0.0, 0.0)))
    assert not ImagerySource.objects.filter(slug="skyline-archive", may_train=True).exists()


def test_the_truth_stays_in_a_file_that_nothing_reads(tiny, tmp_path, settings):
    loading.write_files(tiny, tmp_path / "files", lambda line: None)
    truth = tmp_path / "files" / "truth.json"
    assert truth.stat().st_mode & 0o077 == 0
    told = json.loads(truth.read_text())
    assert {site["source_id"] for site in told["registers"]["survey"]["sites"]} == {f"FS-000{k}" for k in range(1, 5)}
    readers = [
        path
        for folder in ("labels", "predictions", "asm_audit", "templates", "static")
        for path in (settings.BASE_DIR / folder).rglob("*")
        if path.suffix in (".py", ".html", ".js") and "truth.json" in path.read_text()
    ]
    assert [path.name for path in readers] == ["loading.py"]


def test_files_written_twice_are_equal(tiny, tmp_path):
    for name in ("one", "two"):
        loading.write_files(replace(tiny), tmp_path / name, lambda line: None)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(files) == 10
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


@pytest.mark.django_db
def test_the_logins_open(tiny, client):
    loading.add_people(Project.objects.create(**loading.PROJECT), lambda line: None)
    page = client.post("/login/", {"username": "annotator1", "password": "a quiet pass phrase"})
    assert page.status_code == 302
