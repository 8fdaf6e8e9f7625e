"""Features are made in chunks by any number of workers: whatever is killed, the bytes are the same."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.db import connection
from django.utils import timezone

from labels import disk, jobs
from labels.errors import BadInput, NotAllowed
from labels.imagery.chips import read_chip
from labels.models import ImagerySource, Job, Membership
from predictions import chunks, feature_jobs, featurizing, storage
from predictions.models import FeatureChunk, FeatureSet
from predictions.tasks import help_with_features
from tests.factories import make_project, make_source
from tests.predictions.countries import BANK, load_picture, make_province, picture

pytestmark = pytest.mark.django_db(transaction=True)

CLONE = Path(__file__).resolve().parents[2]

# Says a line at each point where it could be killed, and goes on when a line comes back.
WORKER = """
import sys
import django
django.setup()
from labels import disk, jobs
from predictions import chunks, featurizing, storage
chunks.CHUNK_CELLS = chunks.LEAST_CHUNK_CELLS = 8
chunks.BATCH, featurizing.FIT_CELLS, featurizing.WAIT_S = 4, 20, 0.05
def said(point):
    print(point, flush=True)
    if not sys.stdin.readline():
        sys.stdin = open("/dev/null")
def stepping(module, name, before, after):
    function = getattr(module, name)
    def stepped(*args, **options):
        if before:
            said(before)
        result = function(*args, **options)
        if after:
            said(after)
        return result
    setattr(module, name, stepped)
stepping(chunks, "write_plan", "to plan", "planned")
stepping(chunks, "take", None, "taken")
stepping(chunks, "colours", None, "batch")
stepping(chunks, "write_together", "to assemble", "assembled")
stepping(disk, "sync", "half written", None)
compute = chunks.compute
stepping(chunks, "compute", None, "marked")
what, number, token = sys.argv[1:]
if what == "job":
    jobs.run(int(number))
else:
    while chunks.help_once(int(number), int(token)):
        pass
"""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch, settings):
    monkeypatch.setattr(chunks, "CHUNK_CELLS", 8)
    monkeypatch.setattr(chunks, "LEAST_CHUNK_CELLS", 8)
    monkeypatch.setattr(chunks, "BATCH", 4)
    monkeypatch.setattr(featurizing, "FIT_CELLS", 20)
    monkeypatch.setattr(featurizing, "WAIT_S", 0.05)
    monkeypatch.setattr(chunks, "call_helper", lambda *which: True)


@pytest.fixture
def source(project, tmp_path) -> ImagerySource:
    make_province(project)
    return load_picture(project, picture(tmp_path))


def ask(source, **wanted) -> FeatureSet:
    return featurizing.ask(source.project, source=source, **{"options": BANK} | wanted)


def made(feature_set: FeatureSet) -> FeatureSet:
    done = jobs.run(feature_set.job_id) or Job.objects.get(pk=feature_set.job_id)
    assert done.state == Job.State.DONE, done.error
    feature_set.refresh_from_db()
    return feature_set


def worker(what: str, number: int, token: int, settings) -> subprocess.Popen:
    environment = {
        "DATABASE_NAME": connection.settings_dict["NAME"],
        "DJANGO_SETTINGS_MODULE": "asm_audit.settings",
        "MEDIA_ROOT": str(settings.MEDIA_ROOT),
        "REDIS_URL": "redis+socket:///nowhere.sock",
        "CHUNK_LEASE_S": "60",
    }
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, what, str(number), str(token)],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=CLONE,
    )


def go_on(process: subprocess.Popen, until: str, times: int = 1) -> None:
    """Let it work until it has come to the point so many times, and stands there."""
    while line := process.stdout.readline():
        times -= line.strip() == until
        if not times:
            return
        process.stdin.write("\n")
        process.stdin.flush()
    raise AssertionError(f"it never came to {until!r}")


def finish(process: subprocess.Popen) -> None:
    process.communicate("\n" * 100_000)


def kill(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()
    # What silence would do in a minute or two.
    Job.objects.filter(state=Job.State.RUNNING).update(heartbeat_at="2020-01-01T00:00Z")


# ---- what is made ----


def test_features_of_every_cell_of_the_area_in_the_order_of_places(source):
    feature_set = made(ask(source))
    found = storage.load_features(feature_set)
    assert feature_set.n_cells == len(found) == 64 and feature_set.n_without_imagery == 0
    assert (found.cells[0] == [-6012, -523]).all() and (found.cells[-1] == [-6005, -530]).all()
    assert found.features.shape == (64, feature_set.n_columns) and found.features.dtype == np.float32
    assert np.isfinite(found.features).all() and found.is_known.all()
    row = 17
    chip = read_chip(source, storage.cell_names(found.cells[row : row + 1])[0])
    bank = featurizing.RandomConvolutionalFeatures.from_arrays(storage.read_arrays(feature_set.folder / chunks.FILTERS))
    assert bank.filters_sha256 == feature_set.filters_sha256
    assert (bank.transform(chip.pixels[None])[0] == found.features[row]).all()
    assert found.means[row] == pytest.approx(chip.pixels.reshape(3, -1).mean(axis=1), rel=1e-5)
    assert found.stds[row] == pytest.approx(chip.pixels.reshape(3, -1).std(axis=1), rel=1e-5)
    assert not list(feature_set.folder.glob("chunk-*"))
    assert feature_set.job.result["sentence"] == "Features of 64 grid cells are ready."


def test_the_same_pictures_and_options_give_the_same_bytes(source):
    first, second = made(ask(source)), made(ask(source))
    assert first.content_sha256 == second.content_sha256 and first.slug != second.slug
    assert first.content_sha256 != made(ask(source, options=BANK | {"seed": 1})).content_sha256


def test_cells_without_pictures_have_no_features_and_are_counted(project, tmp_path):
    make_province(project, side_deg=0.12)
    feature_set = made(ask(load_picture(project, picture(tmp_path))))
    found = storage.load_features(feature_set)
    nothing = found.missing == 1
    assert feature_set.n_without_imagery == nothing.sum() > 40
    assert np.isnan(found.features[nothing]).all() and np.isnan(found.means[nothing]).all()
    part = (found.missing > 0) & (found.missing < 1)
    assert part.any() and (found.means[part] > 20).all()  # what is hidden does not darken what is seen
    assert not found.is_known[found.missing > 0.2].any() and found.is_known[found.missing == 0].all()


def test_progress_counts_the_chunks_of_all_workers(source, monkeypatch):
    feature_set, told = ask(source), []
    monkeypatch.setattr(jobs.RunningJob, "report_every_s", 0)
    monkeypatch.setattr(
        jobs.RunningJob, "progress", lambda self, n_done, n_total=None: told.append((self.stage, n_done))
    )
    monkeypatch.setattr(jobs.RunningJob, "stage", "", raising=False)
    begin = jobs.RunningJob.begin
    monkeypatch.setattr(
        jobs.RunningJob,
        "begin",
        lambda self, stage, n_total=None: (setattr(self, "stage", stage), begin(self, stage, n_total))[1],
    )
    made(feature_set)
    numbers = [n_done for stage, n_done in told if stage == "computing features"]
    assert numbers == sorted(numbers) and numbers[-1] == 64 and len(numbers) >= 16


# ---- what is refused ----


def test_sources_without_the_right_to_train_are_refused_when_asked_and_when_done(source):
    feature_set = ask(source)
    ImagerySource.objects.filter(pk=source.pk).update(may_train=False)
    failed = jobs.run(feature_set.job_id)
    assert failed.state == Job.State.FAILED and "models be trained" in failed.error
    source.refresh_from_db()
    with pytest.raises(NotAllowed, match="models be trained"):
        ask(source)


def test_a_source_of_one_purpose_wants_to_hear_it(source):
    ImagerySource.objects.filter(pk=source.pk).update(purpose="forest")
    source.refresh_from_db()
    with pytest.raises(NotAllowed, match="only for: forest"):
        ask(source)
    assert ask(source, options=BANK | {"purpose": "Forest"}).job is not None


@pytest.mark.parametrize(
    "options", [{"n_filters": 0}, {"n_filters": "many"}, {"scales": 3}, {"halves": "none"}, {"colour": 1}]
)
def test_wrong_options_are_said(source, options):
    with pytest.raises(BadInput, match="These options make no features"):
        ask(source, options=BANK | options)


def test_what_is_of_another_project_is_refused(source):
    other = make_project()
    with pytest.raises(BadInput, match="another project"):
        featurizing.ask(other, source=source)
    with pytest.raises(BadInput, match="another project"):
        ask(source, area=make_province(other))
    with pytest.raises(BadInput, match="level 1"):
        featurizing.ask(
            other, source=make_source(other), options=BANK, area=None
        ) if other.reference_layers.all().delete() else None


def test_a_source_that_covers_nothing_says_so(source):
    empty = make_source(source.project)
    failed = jobs.run(ask(empty).job_id)
    assert failed.state == Job.State.FAILED and "covers no grid cell" in failed.error


def test_pictures_that_change_meanwhile_are_not_mixed(source, tmp_path):
    feature_set = ask(source)
    seen = []

    def change(*which):
        if not seen:
            load_picture(source.project, picture(tmp_path, "later.tif", seed=8), "2023-05-01")
        seen.append(which)

    chunks_taken = chunks.take
    try:
        chunks.take = lambda feature_set: (change(), chunks_taken(feature_set))[1]
        failed = jobs.run(feature_set.job_id)
    finally:
        chunks.take = chunks_taken
    assert failed.state == Job.State.FAILED and "have changed since" in failed.error


def test_an_admin_who_lost_the_role_makes_no_features(source, admin):
    feature_set = ask(source, by=admin)
    Membership.objects.filter(user=admin).delete()
    failed = jobs.run(feature_set.job_id)
    assert failed.state == Job.State.FAILED and "no longer" in failed.error


def test_a_full_disk_says_so(source, monkeypatch):
    feature_set, sync = ask(source), disk.sync

    def full(path):
        if "chunk" in path.name:
            raise OSError(28, "No space left on device")
        sync(path)

    monkeypatch.setattr(disk, "sync", full)
    failed = jobs.run(feature_set.job_id)
    assert failed.state == Job.State.FAILED and "disk of the server is full" in failed.error
    assert not list(feature_set.folder.glob(".*"))
    monkeypatch.setattr(disk, "sync", sync)
    again = jobs.retry(failed, requested_by=None)
    assert jobs.run(again.pk).state == Job.State.DONE


# ---- killed, cancelled, damaged ----

# Where the job's worker is killed, one after another: at which point, and how many chunks were taken in vain by then.
POINTS = [
    ("to plan", 1), ("half written", 1), ("planned", 1), ("taken", 2), ("batch", 3), ("marked", 1),
    ("half written", 2), ("to assemble", 1), ("assembled", 1),
]  # fmt: skip


@pytest.fixture
def undisturbed(source) -> FeatureSet:
    return made(ask(source))


def test_the_jobs_worker_killed_anywhere_changes_no_byte(undisturbed, settings):
    feature_set = ask(undisturbed.source)
    for point, times in POINTS:
        n_done, n_taken = chunks.n_cells_done(feature_set), n_takings(feature_set)
        process = worker("job", feature_set.job_id, 0, settings)
        go_on(process, point, times)
        kill(process)
        Job.objects.update(n_attempts=0)
        feature_set.chunks.update(leased_until=timezone.now() - timedelta(seconds=1))
        # A kill costs the chunk in hand, no more.
        n_more = (chunks.n_cells_done(feature_set) - n_done) / 8
        assert n_more >= 0 and n_takings(feature_set) - n_taken <= n_more + 1, point
    made(feature_set)
    assert feature_set.content_sha256 == undisturbed.content_sha256
    assert n_takings(feature_set) <= feature_set.chunks.count() + 4  # those in hand at four of the points
    assert not list(feature_set.folder.glob("chunk-*"))


def n_takings(feature_set: FeatureSet) -> int:
    return sum(feature_set.chunks.values_list("token", flat=True))


def test_helpers_killed_anywhere_change_no_byte(undisturbed, settings):
    feature_set = ask(undisturbed.source)
    parent = worker("job", feature_set.job_id, 0, settings)
    go_on(parent, "batch")
    token = Job.objects.get(pk=feature_set.job_id).token
    for point in ("taken", "batch", "half written", "marked"):
        helper = worker("help", feature_set.pk, token, settings)
        go_on(helper, point)
        helper.kill()
        helper.communicate()
        feature_set.chunks.exclude(number=0).update(leased_until=None)  # as time would do
    helper = worker("help", feature_set.pk, token, settings)
    go_on(helper, "marked")
    finish(parent)
    finish(helper)
    feature_set.refresh_from_db()
    assert feature_set.job.state == Job.State.DONE, feature_set.job.error
    assert feature_set.content_sha256 == undisturbed.content_sha256
    assert n_takings(feature_set) == feature_set.chunks.count() + 3


def test_a_worker_that_was_given_up_on_marks_nothing(source):
    feature_set = ask(source)
    running = jobs.RunningJob(jobs.take(feature_set.job_id))
    plan = featurizing._plan(running, feature_set)
    slow = chunks.take(feature_set)
    FeatureChunk.objects.filter(pk=slow.pk).update(leased_until=timezone.now() - timedelta(seconds=1))
    quick = chunks.take(feature_set)
    assert quick.pk == slow.pk and quick.token == slow.token + 1
    assert not chunks.compute(slow, feature_set, plan, lambda n: None)
    assert FeatureChunk.objects.get(pk=slow.pk).sha256 == ""
    assert not chunks.path_of(slow, feature_set).exists()
    assert chunks.compute(quick, feature_set, plan, lambda n: None)
    assert FeatureChunk.objects.get(pk=slow.pk).sha256


def test_a_helper_slower_than_all_others_leaves_no_file_behind(source, admin):
    """Its set was put together meanwhile; or was deleted, folder and all."""
    feature_set = ask(source)
    running = jobs.RunningJob(jobs.take(feature_set.job_id))
    plan = featurizing._plan(running, feature_set)
    slow = [chunks.take(feature_set) for _ in range(2)]
    feature_set.chunks.update(leased_until=timezone.now() - timedelta(seconds=1))
    featurizing._work(running, feature_set, plan)
    featurizing._assemble(running, feature_set, plan)
    chunks.discard_files(feature_set)
    assert not chunks.compute(slow[0], feature_set, plan, lambda n: None)
    assert sorted(path.name for path in feature_set.folder.iterdir()) == [storage.FEATURES, chunks.FILTERS, chunks.PLAN]
    jobs.give_up(running.job, "Killed.")
    feature_jobs.delete(feature_set, by=admin)
    assert not chunks.compute(slow[1], feature_set, plan, lambda n: None)
    assert not feature_set.folder.exists()


def test_two_workers_never_take_one_chunk(source):
    feature_set = ask(source)
    featurizing._plan(jobs.RunningJob(jobs.take(feature_set.job_id)), feature_set)
    taken = [chunks.take(feature_set) for _ in range(9)]
    assert [chunk.number for chunk in taken[:8]] == list(range(8)) and taken[8] is None


def test_cancel_ends_all_workers_and_the_rest_is_done_later(undisturbed, settings):
    feature_set = ask(undisturbed.source)
    parent = worker("job", feature_set.job_id, 0, settings)
    go_on(parent, "marked")
    helper = worker("help", feature_set.pk, Job.objects.get(pk=feature_set.job_id).token, settings)
    go_on(helper, "marked", 1)
    jobs.cancel(feature_set.job)
    finish(parent)
    finish(helper)
    feature_set.refresh_from_db()
    assert feature_set.job.state == Job.State.CANCELLED and not feature_set.is_ready
    n_done = chunks.n_cells_done(feature_set)
    assert 16 <= n_done < 64
    assert not feature_set.chunks.filter(leased_until__isnull=False).exists()
    again = jobs.retry(feature_set.job, requested_by=None)
    before = dict(feature_set.chunks.exclude(sha256="").values_list("number", "token"))
    assert jobs.run(again.pk).state == Job.State.DONE
    feature_set.refresh_from_db()
    assert feature_set.job == again and feature_set.content_sha256 == undisturbed.content_sha256
    assert before.items() <= dict(feature_set.chunks.values_list("number", "token")).items()


@pytest.mark.parametrize("harm", ["lost", "damaged", "no plan"])
def test_a_lost_or_damaged_file_is_made_again(undisturbed, settings, harm):
    feature_set = ask(undisturbed.source)
    process = worker("job", feature_set.job_id, 0, settings)
    go_on(process, "to assemble")
    kill(process)
    chunk = feature_set.chunks.get(number=3)
    path = chunks.path_of(chunk, feature_set)
    if harm == "lost":
        path.unlink()
    elif harm == "damaged":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        (feature_set.folder / chunks.PLAN).unlink()
    made(feature_set)
    assert feature_set.content_sha256 == undisturbed.content_sha256
    if harm != "no plan":
        tokens = dict(feature_set.chunks.values_list("number", "token"))
        assert tokens[3] == 2 and sum(tokens.values()) == 9


def test_a_helper_of_a_job_that_is_over_does_nothing(source):
    feature_set = made(ask(source))
    assert not chunks.help_once(feature_set.pk, feature_set.job.token)
    assert not chunks.help_once(0, 1)


def test_each_chunk_but_the_jobs_own_calls_a_helper_until_the_queue_is_silent(source, monkeypatch):
    monkeypatch.undo()  # the fixture's stand-in for call_helper
    feature_set = ask(source)
    FeatureChunk.objects.bulk_create(FeatureChunk(feature_set=feature_set, number=k, n_cells=1) for k in range(6))
    sent = []

    def send(args, **options):
        if len(sent) == n_answers:
            raise help_with_features.OperationalError
        sent.append(args)

    monkeypatch.setattr(help_with_features, "apply_async", send)
    n_answers = 9
    chunks.call_helpers(feature_set, 3)
    assert sent == [(feature_set.pk, 3)] * 5
    sent.clear()
    n_answers = 2
    chunks.call_helpers(feature_set, 3)
    assert len(sent) == 2
