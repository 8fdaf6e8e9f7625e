"""A snapshot holds the judged units whose imagery lets labels leave, and its hash depends on nothing else."""

from datetime import date
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from labels.models import Adjudication, Audit, Register, Retraction
from labels.releases import snapshot as snapshots
from labels.releases.gathering import gather
from labels.releases.snapshot import SnapshotDamaged
from tests.factories import make_project, make_source
from tests.labelled import judge, make_audit, make_unit, somebody


def labels_of(*audits: Audit) -> dict[str, dict]:
    return {row["source_id"]: row for row in gather(list(audits)).labels}


def test_a_unit_that_nobody_judged_is_counted_and_is_no_label(project):
    audit = make_audit(project)
    make_unit(audit)
    snapshot = gather([audit])
    assert snapshot.labels == []
    assert snapshot.left_out == {"census": {"n_not_judged": 1, "n_without_rights": 0}}


def test_an_undone_review_is_no_label(project):
    audit = make_audit(project)
    Retraction.objects.create(review=judge(make_unit(audit), "confirm"))
    assert gather([audit]).labels == []


def test_a_changed_mind_counts_once_with_what_it_saw(project):
    audit, unit_images = make_audit(project), [make_source(project, name="old"), make_source(project, name="new")]
    unit = make_unit(audit, source_id="a")
    first = judge(unit, "reject", seen=unit_images[0])
    judge(unit, "confirm", seen=unit_images[1], supersedes=first)
    row = labels_of(audit)["a"]
    assert (row["verdict"], row["n_reviews"], row["imagery"]) == ("confirm", 1, ["new"])


def test_the_verdict_is_computed_from_the_tolerance_and_the_given_one_kept(project):
    audit = make_audit(project)
    judge(make_unit(audit, at=(-10.7, 6.4), source_id="a"), "move", mark=(-10.7, 6.4005))
    row = labels_of(audit)["a"]
    assert (row["verdict"], row["given_verdict"], row["displacement_m"]) == ("confirm", "move", 55.3)


def test_a_dispute_is_unsure_and_says_so(project):
    audit = make_audit(project)
    unit = make_unit(audit, source_id="a")
    judge(unit, "confirm")
    judge(unit, "reject", by="bruno")
    row = labels_of(audit)["a"]
    assert (row["state"], row["verdict"], row["given_verdict"], row["n_reviews"]) == ("disputed", "unsure", None, 2)
    assert (row["corrected_lon"], row["grid_cell"]) == (None, "")


def test_an_adjudication_settles_it(project):
    audit = make_audit(project)
    unit = make_unit(audit, source_id="a")
    judge(unit, "confirm")
    judge(unit, "reject", by="bruno")
    Adjudication.objects.create(
        unit=unit,
        adjudicator=somebody("carla"),
        verdict="reject",
        reason="natural_ground",
        tolerance_m=100,
        search_radius_m=1000,
    )
    row = labels_of(audit)["a"]
    assert (row["state"], row["verdict"], row["reason"]) == ("adjudicated", "reject", "natural_ground")


def test_images_are_listed_once_per_source_and_date_oldest_first(project):
    audit = make_audit(project)
    one, two = make_source(project, name="B"), make_source(project, name="A")
    unit = make_unit(audit, source_id="a")
    judge(unit, "confirm", seen=[one, two])
    judge(unit, "confirm", by="bruno", seen=[one], captured_on=date(2019, 1, 2))
    judge(unit, "confirm", by="carla", seen=[one], captured_on=None)
    row = labels_of(audit)["a"]
    assert row["imagery"] == ["B", "A", "B", "B"]
    assert row["imagery_dates"] == ["2019-01-02", "2022-05-01", "2022-05-01", "unknown"]


def test_suggestions_are_marked_and_have_no_probability(project):
    audit = make_audit(project)
    judge(make_unit(audit, source_id="a"), "confirm")
    judge(make_unit(audit, source_id="b", queue="suggested"), "confirm")
    found = {key: (r["queue"], r["sample_type"], r["inclusion_probability"]) for key, r in labels_of(audit).items()}
    assert found == {"a": ("sample", "record_census", 1.0), "b": ("suggested", "suggested", None)}


def test_a_record_visited_with_gps_is_field_verified(project):
    audit = make_audit(project)
    judge(make_unit(audit, source_id="a"), "reject")
    judge(make_unit(audit, source_id="b", kind="third_party"), "reject")
    assert {key: row["field_verified"] for key, row in labels_of(audit).items()} == {"a": 1, "b": 0}


# ---- rights ----

NO_RIGHTS = [
    {"may_derive_labels": False},
    {"may_share_labels": False},
    {"rights_expire_on": date(2020, 1, 1)},
]


@pytest.mark.parametrize("rights", NO_RIGHTS)
def test_a_label_from_imagery_without_rights_is_left_out_and_counted(project, rights):
    audit = make_audit(project)
    judge(make_unit(audit), "confirm", seen=make_source(project, **rights))
    snapshot = gather([audit])
    assert (snapshot.labels, snapshot.cells, snapshot.source_ids) == ([], [], set())
    assert snapshot.left_out["census"]["n_without_rights"] == 1


@pytest.mark.parametrize("rights", NO_RIGHTS)
def test_marks_of_a_left_out_unit_label_no_cell(project, rights):
    audit = make_audit(project)
    judge(make_unit(audit), "reject", seen=make_source(project, **rights), others=[(-10.69, 6.41, "artisanal")])
    assert gather([audit]).cells == []


def test_one_image_with_rights_is_enough(project):
    audit = make_audit(project)
    judge(make_unit(audit), "confirm", seen=[make_source(project, may_share_labels=False), make_source(project)])
    assert len(gather([audit]).labels) == 1


def test_a_label_without_any_image_stays(project):
    audit = make_audit(project)
    judge(make_unit(audit), "unsure", reason="no_image")
    assert len(gather([audit]).labels) == 1


# ---- the hash ----


def build(project, order: str, uuids: dict[str, tuple[UUID, UUID]]) -> str:
    """The same three labels, made in another order: other ids everywhere."""
    register = Register.objects.create(project=project, slug="r", name="R")
    audit = make_audit(project, register=register)
    source = make_source(project, name="A", slug="a")
    for key in order:
        at = {"a": (-10.7, 6.4), "b": (0.0, -6.5), "c": (11.1, 2.2)}[key]
        unit = make_unit(audit, at=at, source_id=key, uuid=uuids[key][0], name=key)
        verdicts = {"a": "confirm", "b": "reject", "c": "confirm"}
        judge(unit, verdicts[key], seen=source)
    rows = gather([audit])
    for row in rows.labels:  # the record's UUID is made by the database layer: give it the one of the other world
        row["site_record"] = str(uuids[row["source_id"]][1])
    return rows.content_sha256


def test_the_hash_does_not_depend_on_ids_or_order(db):
    uuids = {key: (uuid4(), uuid4()) for key in "abc"}
    hashes = set()
    for order in ("abc", "cba", "bca"):
        with transaction.atomic():
            hashes.add(build(make_project(), order, uuids))
            transaction.set_rollback(True)  # the sequences go on: the next world has other ids
    assert len(hashes) == 1


def test_any_difference_of_a_label_changes_the_hash(project):
    audit = make_audit(project)
    unit = make_unit(audit)
    judge(unit, "confirm", confidence=4)
    before = gather([audit]).content_sha256
    assert gather([audit]).content_sha256 == before
    judge(unit, "confirm", by="bruno", confidence=5)
    assert gather([audit]).content_sha256 != before


def test_no_negative_zero():
    assert str(snapshots.coordinate(-0.00000001)) == "0.0"


def test_a_stored_snapshot_reads_back_and_is_the_same_file_each_time(project, tmp_path):
    audit = make_audit(project)
    judge(make_unit(audit), "confirm")
    snapshot = gather([audit])
    snapshots.write(snapshot, tmp_path / "a.gz")
    snapshots.write(snapshot, tmp_path / "b.gz")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    again = snapshots.read(tmp_path / "a.gz", snapshot.content_sha256)
    assert (again.labels, again.cells) == (snapshot.labels, snapshot.cells)
    with pytest.raises(SnapshotDamaged):
        snapshots.read(tmp_path / "a.gz", "0" * 64)
    (tmp_path / "a.gz").write_bytes((tmp_path / "a.gz").read_bytes()[:-9])
    with pytest.raises(SnapshotDamaged):
        snapshots.read(tmp_path / "a.gz", snapshot.content_sha256)
