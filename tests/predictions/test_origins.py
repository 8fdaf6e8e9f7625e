"""Whose model was judged here is said to who may look at runs of that project, and to nobody else, anywhere."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from labels import jobs
from labels.models import Job, Membership
from labels.models.projects import Role
from predictions import judging_elsewhere, mapping, storage, training
from predictions.models import TrainingRun
from predictions.origins import origin_of, origins_on
from tests.factories import make_project
from tests.predictions.figures import figures, metrics, quantity, rung
from tests.predictions.learned import make_feature_set, make_run
from tests.predictions.maps import grid_cells, scores_of
from tests.predictions.test_run_pages import words_of
from tests.predictions.two_countries import SAMPLE, run_with

pytestmark = pytest.mark.django_db

PREVALENCE = "7 %"  # of SAMPLE


@pytest.fixture
def there(project) -> TrainingRun:
    """A run of a project called so that it is found wherever it is named."""
    type(project).objects.filter(pk=project.pk).update(name="Zyxland", slug="zyxland-slug")
    project.refresh_from_db()
    arrays = {"coefficients": [[0.0, 0.0]] * 3, "intercept": [0.0, 0.0]}
    return run_with(project, arrays, number=77, figures={"ladder": [SAMPLE], "n_labelled": 1})


@pytest.fixture
def here(there) -> TrainingRun:
    """Two finished runs of another project, both with an answer of the first one's model; the later."""
    project = make_project()
    features = make_feature_set(project, kind="imported", n_columns=3, options={})
    answer = rung(
        "elsewhere", "all_searched", metrics(0.31, 0.2, 0.4, n=300, n_positive=60), (0.16, 0.2, 0.1),
        origin=origin_of(there), judged_at=timezone.now().isoformat(), is_ranking_only=True, prevalence_here=0.16,
        any_mining=None,
    )  # fmt: skip
    for _ in range(2):
        ladder = [each for each in figures()["ladder"] if each["key"] != "elsewhere"]
        run = make_run(project, feature_set=features, figures=figures(ladder=[*ladder, answer]))
    return run


@pytest.fixture
def member_of_both(here, lead):
    Membership.objects.create(project=here.project, user=lead, role=Role.LEAD)
    return lead


@pytest.fixture
def member_here(here, stranger):
    """Leads here, and annotates there: a member of both who may look at runs of one."""
    Membership.objects.create(project=here.project, user=stranger, role=Role.ADMIN)
    return stranger


def pages(here: TrainingRun) -> dict[str, str]:
    slug, number = here.project.slug, here.number
    job = here.project.jobs.filter(kind=Job.Kind.JUDGE_ELSEWHERE).first()
    found = {
        "run": reverse("predictions:run", args=[slug, number]),
        "card": reverse("predictions:run_card", args=[slug, number]),
        "compare": reverse("predictions:run_compare", args=[slug]) + f"?run={number - 1}&run={number}",
        "elsewhere": reverse("predictions:run_elsewhere", args=[slug, number]),
        "list": reverse("predictions:runs", args=[slug]),
        "jobs": reverse("labels:jobs", args=[slug]),
    }
    return found | ({"job": reverse("labels:job", args=[slug, job.uuid])} if job else {})


def bodies(client, here: TrainingRun) -> dict[str, str]:
    found = {}
    for name, address in pages(here).items():
        answer = client.get(address)
        assert answer.status_code == 200, name
        found[name] = answer.content.decode()
    return found


@pytest.fixture
def mapped(here):
    """The comparison reads scores."""
    for run in here.project.training_runs.all():
        storage.write_arrays(run.folder / mapping.SCORES, **scores_of(grid_cells()))


def test_who_may_look_there_reads_the_name_on_every_page(there, here, mapped, client_of, member_of_both):
    job = judged_job(there, here, Job.State.FAILED, requested_by=member_of_both)
    told = bodies(client_of(member_of_both), here)
    for name in ("run", "card", "compare"):
        assert "Trained in Zyxland, run 77; its order only, not its probabilities" in told[name], name
    assert told["elsewhere"].count("A model of Zyxland, run 77") == 2
    assert "16 % of the cells here hold a mine, 7 % there, by both samples: mining is 2.24 times" in plain(told)
    assert str(there.uuid) in told["elsewhere"]  # to choose it again
    beside = "the other model 0.31 (0.20–0.40) 0.91 (0.88–0.94) this run 0.52 (0.43–0.61) 0.91 (0.88–0.94) prevalence"
    assert beside in plain(told)
    # What the program keeps of the job is for all members of this project.
    for name in ("jobs", "job"):
        assert "Zyxland" not in told[name], name
    assert "Zyxland" not in f"{job} {job.result} {job.error} {job.stage}"


def plain(told: dict[str, str]) -> str:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", told["elsewhere"]))
    return text.replace("\u00a0", " ").replace("&nbsp;", " ")


def test_who_may_not_reads_no_word_of_it_anywhere(there, here, mapped, client_of, member_here):
    judged_job(there, here, Job.State.FAILED)
    told = bodies(client_of(member_here), here)
    for name in ("run", "card", "compare"):
        assert "Trained in another project; its order only" in told[name], name
    assert told["elsewhere"].count("A model of another project") == 2
    assert "7 % there" not in plain(told)
    for name, body in told.items():
        for word in ("Zyxland", "zyxland", "run 77", str(there.uuid), "0.0713"):
            assert word not in body, (name, word)
    # Nor by a role there that does not cover runs.
    Membership.objects.create(project=there.project, user=member_here, role=Role.ADJUDICATOR)
    assert "Zyxland" not in "".join(bodies(client_of(member_here), here).values())


def test_a_lead_of_the_other_project_alone_learns_nothing_of_this_one(there, here, client_of, lead):
    for name, address in pages(here).items():
        assert client_of(lead).get(address).status_code == 404, name
    its_own = client_of(lead).get(reverse("predictions:runs", args=[there.project.slug]))
    assert here.project.name not in words_of(its_own)


def test_figures_keep_ids_alone(here):
    kept = str([each for each in here.figures["ladder"] if each["key"] == "elsewhere"])
    assert "Zyxland" not in kept and "zyxland" not in kept and "0.0713" not in kept


def judged_job(there: TrainingRun, here: TrainingRun, state: str, **fields) -> Job:
    return Job.objects.create(
        project=here.project,
        kind=Job.Kind.JUDGE_ELSEWHERE,
        subject=str(here),
        state=state,
        error="The files of the run to be judged are missing or damaged." if state == Job.State.FAILED else "",
        finished_at=timezone.now() if state == Job.State.FAILED else None,
        parameters=judging_elsewhere.parameters_of(there, here),
        **fields,
    )


# ---- what became of it since ----


def test_the_answer_of_a_deleted_run_stays_and_says_so(there, here, mapped, client_of, member_of_both, member_here):
    there.delete()
    to_both, to_here = (plain(bodies(client_of(each), here)) for each in (member_of_both, member_here))
    assert "The figures stay as they were: that run has been deleted since." in to_both
    assert "A model of Zyxland, run 77" in to_both and "by both samples" not in to_both
    assert "A model of another project" in to_here and "deleted since" in to_here and "Zyxland" not in to_here
    assert "0.31" in to_here
    there.project.delete()
    gone = plain(bodies(client_of(member_of_both), here))
    assert "A model of another project" in gone and "deleted since" in gone and "0.31" in gone


def test_the_answer_of_a_run_without_files_stays_and_says_so(there, here, client_of, member_of_both):
    (there.folder / training.MODEL).unlink()
    answer = client_of(member_of_both).get(pages(here)["run"])
    assert "Trained in Zyxland, run 77; its order only, not its probabilities; the files of that run are gone" in (
        words_of(answer)
    )


def test_two_models_are_compared_each_with_itself(there, here, mapped, client_of, member_of_both):
    other = run_with(make_project(name="Umbra"), {"coefficients": [[0.0, 0.0]] * 3, "intercept": [0.0, 0.0]})
    Membership.objects.create(project=other.project, user=member_of_both, role=Role.LEAD)
    first = here.figures["ladder"][-1]
    here.figures["ladder"].append(first | {"origin": origin_of(other)})
    here.figures["ladder"][-1]["metrics"] = metrics(0.5, 0.4, 0.6) | {"ap": quantity(0.5, 0.4, 0.6)}
    here.save()
    body = client_of(member_of_both).get(pages(here)["compare"]).content.decode()
    assert body.count("Trained in Zyxland") == 1 and body.count("Trained in Umbra, run 1") == 1


def test_many_answers_are_asked_about_at_once(here, member_of_both, django_assert_num_queries):
    with CaptureQueriesContext(connection) as of_one:
        assert len(origins_on(member_of_both, here)) == 1
    for _ in range(3):
        other = run_with(make_project(), {"coefficients": [[0.0, 0.0]], "intercept": [0.0, 0.0]})
        here.figures["ladder"].append(here.figures["ladder"][-1] | {"origin": origin_of(other)})
    with django_assert_num_queries(len(of_one)):
        assert len(origins_on(member_of_both, here)) == 4


# ---- the page ----


def test_it_is_watched_on_its_page_and_can_be_stopped(there, here, client_of, member_of_both, member_here):
    client, address = client_of(member_of_both), pages(here)["elsewhere"]
    assert client.post(address, {"run": str(there.uuid)}).url == address
    assert client.post(address, {"run": str(there.uuid)}).url == address  # pressed twice
    job = here.project.jobs.get(kind=Job.Kind.JUDGE_ELSEWHERE)
    jobs.RunningJob(jobs.take(job.pk)).begin("judging", 3)
    for person, origin in ((member_of_both, "Zyxland, run 77"), (member_here, "another project")):
        answer = client_of(person).get(address, headers={"HX-Request": "true"})
        text = words_of(answer)
        assert "<html" not in answer.content.decode() and "every 1s" in answer.content.decode()
        assert f"A model of {origin} running · judging 0 of 3" in text
    stop = reverse("predictions:run_elsewhere_cancel", args=[here.project.slug, here.number, job.uuid])
    assert client_of(member_here).post(stop).status_code == 302
    job.refresh_from_db()
    assert job.cancel_requested
    jobs.give_up(job, "The disk is full.")
    judged_job(there, here, Job.State.FAILED, created_at=job.created_at - timedelta(hours=1))  # is past
    body = client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "missing or damaged" not in body
    assert "every 1s" not in body and "The disk is full." in body and "Try again" in body
    assert "Try again" not in client_of(member_here).get(address).content.decode()
    assert client_of(member_here).post(address, {"run": str(there.uuid)}).status_code == 404
