"""A preparation that is killed, cancelled, cheated or out of room: what it leaves, and how it is gone on with."""

import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
from django.core.management import call_command
from django.db import connection

from labels import jobs
from labels.imagery import loading, sandbox, stages
from labels.imagery.opening import ImageRefused
from labels.imagery.stages import Marks
from labels.models import Job, Scene
from tests import rasters
from tests.factories import make_project, make_source

CLONE = Path(__file__).resolve().parents[2]

# A line at each change of stage; the next begins when a line comes back.
WORKER = """
import sys
import django
django.setup()
from django.conf import settings
settings.MEDIA_ROOT = sys.argv[2]
import labels.work
from labels import jobs
from labels.imagery import loading, publishing
def stop_at(what):
    print(what, flush=True)
    sys.stdin.readline()
reporter = loading.reporter
def stopping(job, label):
    told, report = set(), reporter(job, label)
    def report_and_wait(stage, n_done, n_total):
        report(stage, n_done, n_total)
        if stage not in told and (stage != "check" or n_total is None):
            told.add(stage)
            stop_at(stage)
    return report_and_wait
loading.reporter = stopping
publish = loading.publish
def publish_and_wait(*given):
    stop_at("publish")
    return publish(*given)
loading.publish = publish_and_wait
still_mine = jobs.RunningJob.still_mine
def wait_and_see(self):
    stop_at("row")
    still_mine(self)
jobs.RunningJob.still_mine = wait_and_see
jobs.run(int(sys.argv[1]))
"""


def near_infrared_picture(folder: Path, size: int = 700) -> Path:
    """Four bands of 16 bits: two files come of it."""
    noise = np.random.default_rng(5).integers(0, 900, (4, size, size), dtype="uint16")
    bands = noise + np.linspace(100, 3000, size).astype("uint16")
    return rasters.write(folder / "n.tif", bands, pixel=(2e-5, 2e-5), photometric="MINISBLACK")


def ask(project, path: Path) -> Job:
    source = project.imagery_sources.first() or make_source(project)
    parameters = loading.parameters(source, [(str(path), path.name)], acquired=None)
    return jobs.ask(project=project, kind=Job.Kind.LOAD_IMAGERY, parameters=parameters)


def media_files(settings) -> list[Path]:
    return sorted(path for path in (Path(settings.MEDIA_ROOT) / "imagery").rglob("*") if path.is_file())


def worker(job: Job, media: Path) -> subprocess.Popen:
    environment = os.environ | {"DATABASE_NAME": connection.settings_dict["NAME"]}
    command = [sys.executable, "-c", WORKER, str(job.pk), str(media)]
    return subprocess.Popen(
        command, cwd=CLONE, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def let_it_reach(process: subprocess.Popen, what: str) -> None:
    for line in process.stdout:
        if line.strip() == what:
            return
        process.stdin.write("\n")
        process.stdin.flush()
    pytest.fail(f"the worker ended before it came to {what}")


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    """Whether it runs; a process that ended and was not yet taken note of does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until_gone(pids: list[int]) -> None:
    ends = time.monotonic() + 10
    while any(map(is_alive, pids)):
        assert time.monotonic() < ends, f"{pids} still run"
        time.sleep(0.02)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("killed_at", "done_again"),
    [
        ("check", ["check", "warp", "write"]),
        ("warp", ["check", "warp", "write"]),
        ("write", ["check", "write"]),
        ("publish", ["check"]),
        ("row", ["check"]),
    ],
)
def test_a_killed_worker_is_gone_on_with_at_its_unfinished_stage(
    killed_at, done_again, tmp_path, settings, monkeypatch
):
    settings.MEDIA_ROOT = str(tmp_path / "media")
    path = near_infrared_picture(tmp_path)
    undisturbed = ask(make_project(), path)
    assert jobs.run(undisturbed.pk).state == Job.State.DONE
    expected = Scene.objects.get()

    project = make_project()
    job = ask(project, path)
    process = worker(job, tmp_path / "media")
    let_it_reach(process, killed_at)
    family = [process.pid, *children_of(process.pid)]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until_gone(family)

    told = []
    reporter = loading.reporter
    monkeypatch.setattr(loading, "reporter", lambda *given: lambda *at: (told.append(at[0]), reporter(*given)(*at)))
    jobs.resume_now(Job.objects.get(pk=job.pk), report=lambda *at: None)
    assert list(dict.fromkeys(told)) == done_again
    scene = Scene.objects.get(source__project=project)
    assert (scene.sha256, scene.false_colour_sha256) == (expected.sha256, expected.false_colour_sha256)
    assert scene.preparation == expected.preparation
    for found in (scene, expected):
        assert stages.sha256_of(Path(settings.MEDIA_ROOT) / found.path) == found.sha256
        assert stages.sha256_of(Path(settings.MEDIA_ROOT) / found.false_colour_path) == found.false_colour_sha256
    assert len(media_files(settings)) == 4
    assert not list(Path(settings.MEDIA_ROOT).rglob(".work-*"))


@pytest.mark.django_db(transaction=True)
def test_a_retry_in_a_new_job_goes_on_too_and_a_cancel_ends_the_reader_and_leaves_nothing(tmp_path, settings):
    settings.MEDIA_ROOT = str(tmp_path / "media")
    path, project = near_infrared_picture(tmp_path), make_project()
    first = ask(project, path)
    process = worker(first, tmp_path / "media")
    let_it_reach(process, "write")
    process.kill()
    process.communicate()
    jobs.give_up(first, "killed")
    assert [left.name for left in media_files(settings)].count("warp.mark") == 1

    second = ask(project, path)
    process = worker(second, tmp_path / "media")
    seen = []
    for line in process.stdout:
        seen.append(line.strip())
        if seen[-1] == "write":
            break
        process.stdin.write("\n")
        process.stdin.flush()
    assert "warp" not in seen
    readers = children_of(process.pid)
    assert readers
    jobs.cancel(second)
    process.communicate("\n", timeout=30)
    assert not any(map(is_alive, readers))
    second.refresh_from_db()
    assert second.state == Job.State.CANCELLED
    assert media_files(settings) == []
    assert not Scene.objects.exists()


def prepared(path: Path, folder: Path, **options) -> dict:
    marks = Marks(folder, stages.sha256_of(path), {})
    folder.mkdir(exist_ok=True)
    return sandbox.prepare(
        path=path, roots=[path.parent], folder=folder, report=lambda *at: None, marks=marks, **options
    )


class Stopped(Exception):
    pass


def stopped_at_write(path: Path, folder: Path) -> None:
    """A work folder as a worker leaves it that was killed while it wrote."""

    def stop(stage, *progress):
        if stage == "write":
            raise Stopped

    folder.mkdir()
    marks = Marks(folder, stages.sha256_of(path), {})
    with pytest.raises(Stopped):
        sandbox.prepare(path=path, roots=[path.parent], folder=folder, report=stop, marks=marks)


@pytest.mark.parametrize("how", ["other bytes", "shorter", "link", "half a mark", "other code", "other wish"])
def test_hostile_or_half_leftovers_are_never_used(how, tmp_path, monkeypatch):
    path = rasters.write(tmp_path / "p.tif", rasters.colours(300, 300))
    expected = prepared(path, tmp_path / "undisturbed")
    work = tmp_path / "work"
    stopped_at_write(path, work)
    warped = work / "warped.tif"
    if how == "other bytes":
        content = bytearray(warped.read_bytes())
        content[len(content) // 2] ^= 255
        warped.write_bytes(content)
    elif how == "shorter":
        os.truncate(warped, warped.stat().st_size - 10)
    elif how == "link":
        shutil.copy(warped, tmp_path / "elsewhere.tif")
        warped.unlink()
        warped.symlink_to(tmp_path / "elsewhere.tif")
    elif how == "half a mark":
        os.truncate(work / "warp.mark", 40)
    elif how == "other code":
        monkeypatch.setattr(stages, "code_version", lambda: "later")
    else:
        mark = work / "warp.mark"
        mark.write_text(mark.read_text().replace('"made_of": [', '"made_of": ["x", '))
    told = []
    marks = Marks(work, stages.sha256_of(path), {})
    answer = sandbox.prepare(
        path=path, roots=[tmp_path], folder=work, report=lambda *at: told.append(at[0]), marks=marks
    )
    assert "warp" in told
    assert answer == expected
    assert stages.sha256_of(work / "prepared.tif") == stages.sha256_of(tmp_path / "undisturbed" / "prepared.tif")


def test_hostile_swap_of_the_original_between_stages_is_refused(project, tmp_path, settings, monkeypatch):
    path = near_infrared_picture(tmp_path)
    other = rasters.write(tmp_path / "other.tif", rasters.colours(300, 300))
    real = sandbox.prepare

    def swapped(**given):
        def report(stage, *progress):
            if stage == "warp" and other.exists():
                other.rename(path)

        return real(**given | {"report": report})

    monkeypatch.setattr(sandbox, "prepare", swapped)
    ended = jobs.run(ask(project, path).pk)
    assert ended.state == Job.State.FAILED
    assert "changed while it was read" in ended.error
    assert media_files(settings) == []


@pytest.mark.parametrize("limit_kib", [8, 64, 200, 400, 700, 1000, 1300])
def test_a_file_that_may_not_grow_leaves_nothing_half_done(limit_kib, tmp_path, monkeypatch):
    """The limit stands for a full disk: writing fails in the midst of any file of any stage."""
    path = near_infrared_picture(tmp_path, 400)
    whole = prepared(path, tmp_path / "whole")
    monkeypatch.setattr(sandbox, "FILE_MIB", limit_kib / 1024)
    work = tmp_path / "work"
    try:
        answer = prepared(path, work)
    except ImageRefused as error:
        assert "/" not in str(error)
        monkeypatch.undo()
        answer = prepared(path, work)
    assert answer == whole
    for name in ("prepared.tif", "prepared-false-colour.tif"):
        assert stages.sha256_of(work / name) == stages.sha256_of(tmp_path / "whole" / name)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 3 MB, where the machine lets us make one."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("n_filled_kb", [0, 1000, 1800, 2400])
def test_a_full_disk_is_said_and_nothing_is_half_done(
    n_filled_kb, project, small_disk, tmp_path, settings, monkeypatch
):
    settings.MEDIA_ROOT = str(small_disk)
    path = near_infrared_picture(tmp_path, 900)
    (small_disk / "filler").write_bytes(b"x" * n_filled_kb * 1000)
    monkeypatch.setattr(sandbox, "FREE_BYTES", -(10**9))  # the room that is asked for beforehand
    ended = jobs.run(ask(project, path).pk)
    assert ended.state == Job.State.FAILED
    assert "n.tif" in ended.error
    assert media_files(settings) == []
    assert not Scene.objects.exists()
    assert not list(small_disk.rglob(".work-*"))


def test_a_disk_without_room_is_said_before_anything_is_written(project, small_disk, tmp_path, settings):
    settings.MEDIA_ROOT = str(small_disk)
    ended = jobs.run(ask(project, near_infrared_picture(tmp_path)).pk)
    assert "GB of disk" in ended.error and "free some space" in ended.error
    assert media_files(settings) == []


def test_every_stage_tells_how_far_it_is(tmp_path):
    told = []
    path = near_infrared_picture(tmp_path, 1500)
    work = tmp_path / "work"
    work.mkdir()
    sandbox.prepare(path=path, roots=[tmp_path], folder=work, report=lambda *at: told.append(at))
    for stage, total in (("warp", None), ("write", 200)):
        steps = [(n_done, n_total) for at, n_done, n_total in told if at == stage]
        assert len(set(steps)) >= 4
        assert [n_done for n_done, _ in steps] == sorted(n_done for n_done, _ in steps)
        assert steps[-1][0] == steps[-1][1] and (total is None or steps[-1][1] == total)


def test_old_leftovers_are_swept_and_held_ones_stay(project, tmp_path, settings):
    parent = Path(settings.MEDIA_ROOT) / "imagery" / str(project.pk)
    for name in (".work-old", ".work-new"):
        (parent / name).mkdir(parents=True)
        (parent / name / "warped.tif").write_bytes(b"half")
    long_ago = time.time() - 4 * 24 * 3600
    os.utime(parent / ".work-old", (long_ago, long_ago))
    call_command("load_imagery", str(rasters.picture(tmp_path)), "--project", project.slug, "--name", "S")
    assert sorted(path.name for path in parent.glob(".work-*")) == [".work-new"]
    with rasterio.open(Path(settings.MEDIA_ROOT) / Scene.objects.get().path) as dataset:
        assert dataset.count == 3


@pytest.mark.parametrize("told", ['{"acquired": "2019-07-04"}', None])
def test_a_file_beside_the_picture_that_changed_meanwhile_is_read_anew(told, project, tmp_path, monkeypatch):
    path = rasters.picture(tmp_path)
    beside = path.with_suffix(".json")
    beside.write_text('{"acquired": "2021-03-09"}')

    def killed(*given):
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(loading, "publish", killed)
        with pytest.raises(Stopped):
            call_command("load_imagery", str(path), "--project", project.slug, "--name", "S")
    beside.write_text(told) if told else beside.unlink()
    call_command("load_imagery", str(path), "--project", project.slug, "--name", "S")
    assert Scene.objects.get().captured_on == (told and date(2019, 7, 4))
