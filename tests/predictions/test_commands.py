"""featurize, train, predict: done when they end with 0, a sentence when not, gone on with by the same words."""

import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from labels import jobs
from labels.models import Job
from predictions import chunks, storage
from predictions.management.commands import featurize
from predictions.models import FeatureSet
from tests.predictions.countries import load_picture, make_province, picture

pytestmark = pytest.mark.django_db(transaction=True)

CLONE = Path(__file__).resolve().parents[2]
FILTERS = ["--filters", "8"]


@pytest.fixture
def source(project, tmp_path):
    make_province(project)
    return load_picture(project, picture(tmp_path))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """So few filters that the pool of patches need not be large."""
    monkeypatch.setattr(chunks, "CHUNK_CELLS", 8)
    monkeypatch.setattr(chunks, "LEAST_CHUNK_CELLS", 8)
    monkeypatch.setattr(chunks, "call_helper", lambda *which: True)


def run(name: str, project, *words) -> str:
    out = StringIO()
    call_command(name, "--project", project.slug, *words, stdout=out, stderr=StringIO())
    return out.getvalue()


def refusal(name: str, project, *words) -> str:
    with pytest.raises(CommandError) as error:
        run(name, project, *words)
    assert error.value.returncode == 2
    return str(error.value)


def test_featurize_says_what_it_made_and_the_same_words_make_another(source):
    said = run("featurize", source.project, *FILTERS)
    feature_set = FeatureSet.objects.get()
    assert f"{feature_set.slug}: 64 grid cells, 0 without imagery, {feature_set.n_columns} features each" in said
    assert feature_set.content_sha256 in said
    run("featurize", source.project, *FILTERS)
    assert FeatureSet.objects.values_list("content_sha256", flat=True).distinct().count() == 1


def test_an_interrupted_featurize_is_gone_on_with_by_the_same_words(source, monkeypatch):
    compute = chunks.compute

    def interrupt(_n_done):
        raise KeyboardInterrupt

    def interrupted(chunk, feature_set, plan, report):
        return compute(chunk, feature_set, plan, interrupt if chunk.number == 3 else report)

    monkeypatch.setattr(chunks, "compute", interrupted)
    with pytest.raises(CommandError, match="run the same command again") as error:
        run("featurize", source.project, *FILTERS)
    assert error.value.returncode == 130
    monkeypatch.setattr(chunks, "compute", compute)
    run("featurize", source.project, *FILTERS)
    feature_set = FeatureSet.objects.get()
    assert feature_set.is_ready
    assert list(feature_set.chunks.values_list("token", flat=True)) == [1, 1, 1, 2, 1, 1, 1, 1]


def test_a_killed_featurize_is_gone_on_with_by_the_same_words(source, settings, monkeypatch):
    environment = os.environ | {
        "DATABASE_NAME": connection.settings_dict["NAME"],
        "MEDIA_ROOT": str(settings.MEDIA_ROOT),
        "REDIS_URL": "redis+socket:///nowhere.sock",
    }
    script = (
        "import sys, django; django.setup(); from django.core.management import call_command\n"
        "from predictions import chunks; chunks.CHUNK_CELLS = chunks.LEAST_CHUNK_CELLS = 8\n"
        "take = chunks.take\n"
        "def waiting(of):\n    taken = take(of)\n    print('taken', flush=True)\n"
        "    sys.stdin.readline()\n    return taken\n"
        "chunks.take = waiting\n"
        f"call_command('featurize', '--project', {source.project.slug!r}, '--filters', '8')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env=environment,
        cwd=CLONE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    for _chunk in range(2):
        assert process.stdout.readline()
        process.stdin.write("\n")
        process.stdin.flush()
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    feature_set = FeatureSet.objects.get()
    feature_set.chunks.update(leased_until=None)
    settings.JOB_SILENCE_S = 0
    monkeypatch.setattr("predictions.management.queued.SETTLE_S", 0.1)
    run("featurize", source.project, *FILTERS)
    feature_set.refresh_from_db()
    assert feature_set.is_ready and FeatureSet.objects.count() == 1
    assert sum(feature_set.chunks.values_list("token", flat=True)) == 9


def test_featurize_helps_where_another_process_is_at_it(source, monkeypatch):
    run("featurize", source.project, "--queue", "--no-wait", *FILTERS)
    feature_set = FeatureSet.objects.get()
    assert jobs.take(feature_set.job_id).state == Job.State.RUNNING
    helped = []
    monkeypatch.setattr(featurize.Command, "is_alive", lambda self, job: True)

    def help_once(feature_set_id, token):
        helped.append(token)
        Job.objects.filter(pk=feature_set.job_id).update(state=Job.State.DONE, finished_at="2026-01-01T00:00Z")
        FeatureSet.objects.filter(pk=feature_set_id).update(content_sha256="0" * 64, n_cells=1, n_columns=1)
        return True

    monkeypatch.setattr(chunks, "help_once", help_once)
    run("featurize", source.project, *FILTERS)
    assert helped == [1]


def test_workers_of_one_command_share_the_chunks(source, settings):
    environment = os.environ | {
        "DATABASE_NAME": connection.settings_dict["NAME"],
        "MEDIA_ROOT": str(settings.MEDIA_ROOT),
        "REDIS_URL": "redis+socket:///nowhere.sock",
    }
    words = [sys.executable, "manage.py", "featurize", "--project", source.project.slug, "--filters", "8"]
    done = subprocess.run([*words, "--workers", "2"], env=environment, cwd=CLONE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    alone = run("featurize", source.project, *FILTERS)
    digests = set(FeatureSet.objects.values_list("content_sha256", flat=True))
    assert len(digests) == 1 and digests.pop() in alone


def test_features_come_from_a_file_too(source, tmp_path):
    path = tmp_path / "mosaiks.csv"
    lon, lat = (-60.115, -60.105), (-5.295, -5.295)
    rows = [f"{y},{x},{0.5 * k},{k}" for k, (x, y) in enumerate(zip(lon, lat, strict=True))]
    path.write_text("lat,lon,X_0,X_1\n" + "\n".join(rows) + "\n")
    said = run("featurize", source.project, "--import", str(path), "--name", "From the service")
    feature_set = FeatureSet.objects.get()
    assert "from-the-service: 2 grid cells, 0 without imagery, 2 features each" in said
    found = storage.load_features(feature_set)
    assert found.features.tolist() == [[0, 0], [0.5, 1]] and np.isnan(found.means).all() and found.is_known.all()
    assert feature_set.kind == FeatureSet.Kind.IMPORTED and path.is_file()


def test_a_file_that_is_none_leaves_no_feature_set(source, tmp_path):
    path = tmp_path / "wrong.csv"
    path.write_text("a,b\n1,2\n")
    assert refusal("featurize", source.project, "--import", str(path))
    assert "no file" in refusal("featurize", source.project, "--import", str(tmp_path / "none.csv"))
    assert not FeatureSet.objects.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--source", "none"], "survey"),
        (["--area", "Nowhere"], "Nowhere"),
        (["--date", "May"], "is no date"),
        (["--filters", "0"], "make no features"),
        (["--no-wait"], "--queue"),
        (["--workers", "0"], "at least 1"),
        (["--filters-of", "x/y"], "no feature set"),
        (["--join", "none"], "no feature set"),
    ],
)
def test_featurize_refuses_what_it_cannot_do(source, words, said):
    assert said in refusal("featurize", source.project, *words)


def test_filters_of_another_set_make_comparable_features(source):
    run("featurize", source.project, *FILTERS)
    first = FeatureSet.objects.get()
    run("featurize", source.project, "--filters-of", f"{source.project.slug}/{first.slug}", "--name", "Second")
    second = FeatureSet.objects.get(name="Second")
    assert second.filters_sha256 == first.filters_sha256 and second.content_sha256 == first.content_sha256


def test_train_and_predict_say_what_is_missing(source):
    assert "see featurize" in refusal("train", source.project)
    run("featurize", source.project, *FILTERS)
    assert "no release 7" in refusal("train", source.project, "--release", "7")
    assert "NAME=VALUE" in refusal("train", source.project, "--option", "seed")
    assert "no option" in refusal("train", source.project, "--option", "colour=1")
    assert "audit" in refusal("train", source.project)  # nothing judged yet
    assert "see the command train" in refusal("predict", source.project, "--out", "/tmp/map.tif")
