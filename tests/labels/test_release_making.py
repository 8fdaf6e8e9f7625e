"""Making a release: once per content, whole or not at all, never changed; by job and by command."""

import hashlib
import json
import os
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from labels import jobs
from labels.errors import BadInput, JobLost
from labels.models import AccessRecord, Exposure, Job, Release, ReleaseFile
from labels.releases import formats, making
from labels.releases.making import NothingToRelease
from labels.releases.snapshot import SnapshotDamaged
from tests.factories import make_project, make_source
from tests.labelled import judge, make_audit, make_unit


@pytest.fixture
def audit(project):
    audit = make_audit(project)
    judge(make_unit(audit, source_id="a"), "confirm", seen=make_source(project, name="Pléiades"))
    judge(make_unit(audit, source_id="b"), "reject")
    make_unit(audit, source_id="c")
    return audit


def make(audit, **fields) -> Release:
    return making.make_release(audit.project, [audit], **fields).release


def files_on_disk(settings) -> set[str]:
    return {path.name for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()}


def test_the_same_labels_are_the_same_release(audit):
    first, again = (making.make_release(audit.project, [audit]) for _ in range(2))
    assert (first.is_new, again.is_new) == (True, False)
    assert first.release == again.release
    assert Release.objects.count() == 1


def test_other_labels_are_the_next_release(audit):
    make(audit)
    judge(audit.units.get(site_record__source_id="c"), "confirm")
    second = make(audit)
    assert (second.number, second.n_labels) == (2, 3)


def test_numbers_count_per_project(audit):
    other = make_audit(make_project())
    judge(make_unit(other), "confirm")
    assert (make(audit).number, make(other).number) == (1, 1)


def test_two_workers_making_the_same_release_end_with_one(audit, monkeypatch):
    """The second one finds the row only when it publishes its own."""
    inner = making.gather

    def while_the_other_publishes(audits, purpose):
        monkeypatch.setattr(making, "gather", inner)
        make(audit)
        return inner(audits, purpose)

    monkeypatch.setattr(making, "gather", while_the_other_publishes)
    real_filter = Release.objects.filter
    blind = iter([Release.objects.none()])
    monkeypatch.setattr(Release.objects, "filter", lambda **k: next(blind, None) or real_filter(**k))
    made = making.make_release(audit.project, [audit])
    assert (made.is_new, Release.objects.count()) == (False, 1)


def test_the_card_says_what_a_stranger_needs(audit):
    release = make(audit, purpose="for a test")
    card = json.loads(json.dumps(release.data_card))
    assert (card["release"], card["purpose"], card["country"]) == (1, "for a test", "WDR")
    assert card["content_sha256"] == release.content_sha256
    assert card["labels_by_verdict"] == {"confirm": 1, "reject": 1}
    assert card["labels_by_state"] == {"agreed": 2}
    assert (card["n_units_not_judged"], card["n_left_out_for_rights"], card["n_cells"]) == (1, 0, 1)
    assert card["audits"][0]["search_rules"]["gps"] == {"tolerance_m": 100, "search_radius_m": 1000}
    assert card["imagery"][0]["attribution"] == "© Nobody"
    assert {column["name"] for column in card["columns"]} >= {"corrected_lon", "verdict", "imagery_dates"}
    assert len(card["warnings"]) == 4
    assert "-10.7" not in json.dumps(card)


@pytest.mark.parametrize("table", ["labels_release", "labels_releasefile"])
@pytest.mark.parametrize("change", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_it_cannot_be_changed(audit, table, change):
    making.file_of(make(audit), "csv")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change.format(table))


def test_a_format_made_later_equals_one_made_now(audit, settings):
    release = make(audit)
    now = making.file_of(release, "csv")
    judge(audit.units.get(site_record__source_id="c"), "confirm")
    later = making.file_of(release, "geojson")
    assert (now.n_rows, later.n_rows) == (2, 2)
    assert later.sha256 == hashlib.sha256(making.path_of(later).read_bytes()).hexdigest()


@pytest.mark.parametrize("format", ReleaseFile.Format.values)
def test_a_lost_file_is_made_again_byte_for_byte(audit, format):
    release = make(audit)
    file = making.file_of(release, format)
    making.path_of(file).unlink()
    assert making.file_of(release, format) == file
    assert making.sha256_of(making.path_of(file)) == file.sha256


def test_a_changed_snapshot_is_refused(audit):
    release = make(audit)
    making._folder(release).joinpath(making.SNAPSHOT).write_bytes(b"")
    with pytest.raises(SnapshotDamaged):
        making.file_of(release, "csv")


class Killed(BaseException):
    """The process ends here."""


def test_killed_between_file_and_row_there_is_no_file_of_the_release(audit, monkeypatch, settings):
    release = make(audit)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(making, "_add_file", lambda *args: (_ for _ in ()).throw(Killed))
        making.file_of(release, "gpkg")
    assert release.files.count() == 0
    file = making.file_of(release, "gpkg")
    assert making.sha256_of(making.path_of(file)) == file.sha256
    assert files_on_disk(settings) == {"snapshot.jsonl.gz", "labels.gpkg"}


def test_killed_while_writing_no_unfinished_file_has_the_name(audit, monkeypatch, settings):
    release = make(audit)

    def half(snapshot, content_sha256, path):
        path.write_text("half")
        raise Killed

    kind = formats.FileKind("csv", "text/csv", half)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setitem(formats.KINDS, "csv", kind)
        making.file_of(release, "csv")
    assert files_on_disk(settings) == {"snapshot.jsonl.gz"}


def test_what_a_killed_worker_left_is_cleared_a_day_later(audit, settings):
    release = make(audit)
    old, new = (making._folder(release) / name for name in (".1.labels.csv", ".2.labels.csv"))
    for path in (old, new):
        path.write_text("half")
    os.utime(old, (1_000_000_000, 1_000_000_000))
    making.file_of(release, "csv")
    assert files_on_disk(settings) == {"snapshot.jsonl.gz", "labels.csv", new.name}


def test_killed_between_snapshot_and_release_the_next_attempt_takes_its_place(audit, monkeypatch, settings):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(making, "_publish", lambda *args: (_ for _ in ()).throw(Killed))
        make(audit)
    assert Release.objects.count() == 0
    make(audit)
    assert len(list(Path(settings.MEDIA_ROOT).glob("releases/*"))) == 1


def test_a_worker_that_lost_its_job_publishes_nothing(audit, project):
    job = Job.objects.create(project=project, kind=Job.Kind.MAKE_RELEASE, parameters={"formats": ["csv"]})
    running = jobs.RunningJob(jobs.take(job.pk))
    Job.objects.filter(pk=job.pk).update(token=7)
    with pytest.raises(JobLost):
        making.make_release(project, [audit], job=running)
    assert Release.objects.count() == 0


def test_nothing_judged_is_nothing_to_release(project):
    audit = make_audit(project)
    make_unit(audit)
    with pytest.raises(NothingToRelease, match="no unit has been judged"):
        make(audit)


def test_nothing_with_rights_says_so(project):
    audit = make_audit(project)
    judge(make_unit(audit), "confirm", seen=make_source(project, may_share_labels=False))
    with pytest.raises(NothingToRelease, match="rights of the imagery"):
        make(audit)


def test_an_unknown_audit_is_named_with_those_there_are(audit, project):
    with pytest.raises(BadInput, match=r"no audit nope .* census"):
        making.audits_to_release(project, ["nope"])


# ---- as a job ----


def asked(project, user=None, **parameters) -> Job:
    job = Job.objects.create(
        project=project, kind=Job.Kind.MAKE_RELEASE, requested_by=user, parameters={"formats": ["csv"]} | parameters
    )
    return jobs.run(job.pk)


def test_a_job_makes_the_release_and_its_files(audit, project, admin):
    job = asked(project, admin, formats=list(ReleaseFile.Format.values), audits=["census"], purpose="why")
    assert job.state == Job.State.DONE, job.error
    release = Release.objects.get()
    assert (release.made_by, release.job, release.purpose, release.files.count()) == (admin, job, "why", 5)
    assert job.result["page"] == f"/p/{project.slug}/releases/1/"
    assert AccessRecord.objects.get().action == "make_release"


def test_asked_again_the_job_says_that_nothing_changed(audit, project, admin):
    asked(project, admin)
    job = asked(project, admin, formats=["geojson"])
    assert "Nothing has changed since release 1" in job.result["sentence"]
    assert Release.objects.get().files.count() == 2


def test_a_job_adds_a_format_to_an_old_release(audit, project, admin):
    asked(project, admin)
    judge(audit.units.get(site_record__source_id="c"), "confirm")
    job = asked(project, admin, release=1, formats=["mosaiks"])
    assert job.result["sentence"] == "The file of release 1 is ready."
    assert Release.objects.get().files.get(format="mosaiks").n_rows == 1


def test_a_second_attempt_goes_on_with_the_release_of_the_first(audit, project, admin, monkeypatch):
    job = Job.objects.create(
        project=project, kind=Job.Kind.MAKE_RELEASE, requested_by=admin, parameters={"formats": ["csv"]}
    )
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(making, "file_of", lambda *args: (_ for _ in ()).throw(Killed))
        jobs.run(job.pk)
    judge(audit.units.get(site_record__source_id="c"), "confirm")
    Job.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - timezone.timedelta(hours=1))
    assert jobs.run(job.pk).state == Job.State.DONE
    assert Release.objects.get().files.get().n_rows == 2


def test_a_person_who_lost_the_role_gets_no_release(audit, project, lead):
    job = asked(project, lead)
    assert (job.state, Release.objects.count()) == (Job.State.FAILED, 0)


def test_without_a_cell_to_label_the_other_files_are_made(project, admin):
    audit = make_audit(project)
    judge(make_unit(audit), "reject")
    job = asked(project, admin, formats=["csv", "mosaiks"])
    assert "marks no mine" in job.result["sentence"]
    assert [file.format for file in Release.objects.get().files.all()] == ["csv"]


# ---- by command ----


def run(project, out, *more, format="csv") -> str:
    said = StringIO()
    call_command(
        "release", "--project", project.slug, "--format", format, "--out", str(out), *more, stdout=said, stderr=said
    )
    return said.getvalue()


@pytest.mark.parametrize("format", ReleaseFile.Format.values)
def test_the_command_writes_the_file(audit, project, tmp_path, format):
    out = tmp_path / "labels.out"
    out.write_text("an older one")
    said = run(project, out, format=format)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    assert digest == ReleaseFile.objects.get().sha256
    assert digest in said
    assert Release.objects.get().content_sha256 in said
    assert "2 labels" in said and "1 units not judged" in said
    assert [path.name for path in tmp_path.iterdir()] == ["labels.out"]


def test_the_command_run_twice_writes_the_same_bytes(audit, project, tmp_path):
    run(project, tmp_path / "one.gpkg", format="gpkg")
    assert "the same labels as before" in run(project, tmp_path / "two.gpkg", format="gpkg")
    assert (tmp_path / "one.gpkg").read_bytes() == (tmp_path / "two.gpkg").read_bytes()


def test_the_command_is_written_down_and_exposes_nobody(audit, project, tmp_path):
    run(project, tmp_path / "one.csv")
    assert set(AccessRecord.objects.values_list("action", "subject", "n_rows", "user")) == {
        ("make_release", "release 1", 2, None),
        ("download_release", "release 1 csv", 2, None),
    }
    assert Exposure.objects.count() == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--audit", "nope"], "There is no audit nope"),
        (["--purpose", "x" * 301], "at most 300"),
        (["--out", "/no/such/folder/a.csv"], "there is no folder"),
        (["--out", "/"], "is a folder"),
    ],
)
def test_bad_arguments_end_with_2_and_a_sentence(audit, project, tmp_path, arguments, says):
    with pytest.raises(CommandError, match=says) as ended:
        run(project, tmp_path / "a.csv", *arguments)
    assert ended.value.returncode == 2
    assert Release.objects.count() == 0


def test_nothing_to_release_ends_with_2_and_a_sentence(project, tmp_path):
    with pytest.raises(CommandError, match="no audit yet") as ended:
        run(project, tmp_path / "a.csv")
    assert ended.value.returncode == 2


def test_cells_only_from_rejects_end_with_2_and_make_no_file(project, tmp_path):
    judge(make_unit(make_audit(project)), "reject")
    with pytest.raises(CommandError, match="a reject alone makes no cell a negative") as ended:
        run(project, tmp_path / "a.csv", format="mosaiks")
    assert ended.value.returncode == 2
    assert not (tmp_path / "a.csv").exists()
