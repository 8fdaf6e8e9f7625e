"""What may be done with imagery: every combination of flags, expiry, policy and purpose, and where it is asked."""

from datetime import date, timedelta
from itertools import product
from uuid import uuid4

import pytest

from labels import workflow
from labels.errors import BadInput
from labels.imagery import rights, sources
from labels.imagery.rights import Lack, Use
from labels.imagery.scenes import images_at
from labels.models import Assignment, ImagerySource, Project, ProviderDate
from labels.releases import making
from labels.releases.gathering import gather
from labels.releases.training import trainable
from labels.workflow import GivenImage, GivenReview
from tests.factories import make_project, make_record, make_register, make_scene, make_source, square
from tests.labelled import judge, make_audit, make_cell_unit, make_unit

DAY = date(2024, 6, 15)
FLAGS = ("may_view", "may_cache", "may_derive_labels", "may_share_labels", "may_train")
EXPIRIES = (None, DAY - timedelta(days=1), DAY, DAY + timedelta(days=1))
POLICIES = ("local", "through_server")
KINDS = ("scenes", "xyz")
LIMITS = ("", "mine rehabilitation", "atlas; Mine  Rehabilitation")
PURPOSES = (None, "", "mine rehabilitation", "selling ore")
POINT = (-10.7, 6.4)


def table():
    """Every combination: 5 flags, 4 expiries, 2 kinds, 2 policies, 3 limits, 4 purposes."""
    for values in product([True, False], repeat=len(FLAGS)):
        for expires, kind, policy, limit, purpose in product(EXPIRIES, KINDS, POLICIES, LIMITS, PURPOSES):
            project = Project(imagery_policy=policy)
            flags = dict(zip(FLAGS, values, strict=True))
            source = ImagerySource(project=project, kind=kind, purpose=limit, rights_expire_on=expires, **flags)
            yield source, purpose


def is_meant_to(source: ImagerySource, use: str, purpose: str | None) -> bool:
    """The rule once more, as a lawyer would say it: one sentence per way to say no."""
    needed = {
        "view": [source.may_view],
        "cache": [source.may_view, source.may_cache],
        "derive_labels": [source.may_view, source.may_derive_labels],
        "share_labels": [source.may_derive_labels, source.may_share_labels],
        "train": [source.may_derive_labels, source.may_train],
    }[use]
    if False in needed:
        return False
    if source.rights_expire_on in (DAY - timedelta(days=1),):
        return False
    if source.purpose and purpose in ("", "selling ore"):
        return False
    if source.purpose and purpose is None and use in ("share_labels", "train"):
        return False
    is_fetched = use in ("view", "cache", "derive_labels") and source.kind == "xyz"
    return not (is_fetched and source.project.imagery_policy == "local")


def test_no_combination_leaks_and_none_is_closed_without_reason():
    leaks, closed, n = [], [], 0
    for source, purpose in table():
        for use in Use.values:
            n += 1
            answer, meant = rights.may(source, use, on=DAY, purpose=purpose), is_meant_to(source, use, purpose)
            if answer != meant:
                (leaks if answer else closed).append((use, purpose, source))
    assert (leaks, closed) == ([], [])
    assert n == 2**5 * 4 * 2 * 2 * 3 * 4 * 5


@pytest.mark.parametrize("kind", KINDS)
def test_the_queries_ask_the_same(db, time_machine, kind):
    time_machine.move_to(DAY, tick=False)
    address = {"address": "https://tiles.example/{z}/{x}/{y}"} if kind == "xyz" else {}
    for policy in POLICIES:
        project = make_project(imagery_policy=policy)
        for values, expires in product(product([True, False], repeat=len(FLAGS)), EXPIRIES):
            flags = dict(zip(FLAGS, values, strict=True))
            make_source(project, kind=kind, rights_expire_on=expires, **address, **flags)
        for use, condition in ((Use.VIEW, rights.viewable()), (Use.DERIVE_LABELS, rights.judgeable())):
            asked = set(project.imagery_sources.filter(condition))
            assert asked == {source for source in project.imagery_sources.all() if rights.may(source, use)}


# ---- annotators ----


@pytest.fixture
def audit(project):
    register = make_register(project)
    make_record(register, at=POINT, observed_on=date(2021, 3, 1))
    return workflow.open_census(project=project, register=register, slug="audit", name="Audit")


@pytest.fixture
def source(project):
    source = make_source(project, name="Orbita")
    make_scene(source, footprint=square(-10.8, 6.3, 0.2), captured_on=date(2024, 1, 14))
    return source


def withdraw(source, **fields):
    sources.change(source, fields, None)


GONE = [{"rights_expire_on": date(2020, 1, 1)}, {"may_view": False}, {"may_derive_labels": False}]


@pytest.mark.parametrize("gone", GONE)
def test_images_without_the_right_are_not_offered_and_their_units_not_handed_out(audit, source, annotator, gone):
    assert len(workflow.hand_out(audit, annotator)) == 1
    withdraw(source, **gone)
    assert images_at(audit.project, *POINT, 500) == []
    assert workflow.hand_out(audit, annotator) == []
    withdraw(source, rights_expire_on=None, may_view=True, may_derive_labels=True)
    assert len(workflow.hand_out(audit, annotator)) == 1


def test_units_that_other_imagery_still_shows_are_handed_out(audit, source, annotator, project):
    withdraw(source, may_view=False)
    make_scene(make_source(project), footprint=square(-10.8, 6.3, 0.2), captured_on=date(2023, 1, 1))
    assert len(workflow.hand_out(audit, annotator)) == 1


def test_units_that_no_imagery_ever_showed_are_handed_out(audit, project, annotator):
    """They are judged unsure, no image: that is no question of rights."""
    elsewhere = make_source(project, may_view=False)
    make_scene(elsewhere, footprint=square(20, 6.3, 0.2), captured_on=date(2023, 1, 1))
    assert len(workflow.hand_out(audit, annotator)) == 1


def remote(project, **fields):
    provider = make_source(project, kind="xyz", address="https://tiles.example/{z}/{x}/{y}", **fields)
    ProviderDate.objects.create(source=provider, key="2024")
    return provider


def test_a_provider_of_a_project_that_went_local_closes_its_units(audit, project, annotator):
    Project.objects.filter(pk=project.pk).update(imagery_policy="through_server")
    remote(project)
    sources.change_policy(audit.project, "local", None)
    assert workflow.hand_out(audit, annotator) == []
    sources.change_policy(audit.project, "through_server", None)
    assert len(workflow.hand_out(audit, annotator)) == 1


def test_a_source_that_nobody_could_judge_from_closes_nothing(audit, project, annotator):
    """A provider without footprint in a project of local imagery, and one that may only be looked at."""
    remote(project)
    assert len(workflow.hand_out(audit, annotator)) == 1
    Project.objects.filter(pk=project.pk).update(imagery_policy="through_server")
    ImagerySource.objects.update(may_derive_labels=False)
    audit.refresh_from_db()
    assert images_at(audit.project, *POINT, 500) == []
    assert len(workflow.hand_out(audit, annotator)) == 1
    assert workflow.n_without_imagery(audit, annotator) == 0


def test_a_right_that_verdicts_rest_on_closes_its_units_however_it_went(audit, source, annotator, second_annotator):
    image = GivenImage(pane=1, source=source.uuid, captured_on=date(2024, 1, 14))
    given = GivenReview(uuid=uuid4(), verdict="confirm", images=[image])
    workflow.record_review(audit.units.get(), annotator, given)
    Assignment.objects.create(audit=audit, unit=audit.units.get(), queue="sample", order_key=1)
    ImagerySource.objects.filter(pk=source.pk).update(may_derive_labels=False)  # no page, so nothing is written down
    assert workflow.hand_out(audit, second_annotator) == []
    ImagerySource.objects.filter(pk=source.pk).update(may_derive_labels=True)
    assert len(workflow.hand_out(audit, second_annotator)) == 1


def test_a_picture_that_a_catalogue_only_lists_opens_no_unit(audit, source, annotator, project):
    """It is offered to nobody before it is fetched."""
    withdraw(source, rights_expire_on=date(2020, 1, 1))
    Project.objects.filter(pk=project.pk).update(imagery_policy="through_server")
    listed = make_source(project, kind="stac", address="https://stac.example/")
    ProviderDate.objects.create(source=listed, key="a", footprint=square(-10.8, 6.3, 0.2), options={"asset": "x"})
    audit.refresh_from_db()
    assert images_at(audit.project, *POINT, 500) == []
    assert workflow.hand_out(audit, annotator) == []


def test_an_annotator_is_told_why_there_is_nothing_to_do(audit, source, annotator, client_of):
    withdraw(source, rights_expire_on=date(2020, 1, 1))
    page = client_of(annotator).get(f"/p/{audit.project.slug}/audits/audit/review/").content.decode()
    assert "1 unit waits" in page
    asked = client_of(annotator).post(
        f"/api/p/{audit.project.slug}/audits/audit/hand-out", "{}", content_type="application/json"
    )
    assert asked.json()["units"] == [] and asked.json()["n_without_imagery"] == 1


def test_a_verdict_on_expired_imagery_is_refused_and_earlier_ones_stay(audit, source, annotator, second_annotator):
    unit = audit.units.get()
    image = GivenImage(pane=1, source=source.uuid, captured_on=date(2024, 1, 14))
    workflow.record_review(unit, annotator, GivenReview(uuid=uuid4(), verdict="confirm", images=[image]))
    withdraw(source, rights_expire_on=date(2020, 1, 1))
    with pytest.raises(BadInput, match=r"“Orbita” any more.*expired on 1 Jan 2020"):
        workflow.record_review(unit, second_annotator, GivenReview(uuid=uuid4(), verdict="confirm", images=[image]))
    assert unit.reviews.count() == 1


# ---- releases ----


def release_of(audit, purpose="") -> dict:
    return making.make_release(audit.project, [audit], purpose=purpose).release.data_card


def test_what_was_left_out_is_counted_by_reason_and_source(project):
    audit = make_audit(project)
    closed = make_source(project, name="Closed", slug="closed", may_share_labels=False)
    old = make_source(project, name="Old", slug="old", rights_expire_on=date(2020, 1, 1))
    limited = make_source(project, name="Limited", slug="limited", purpose="atlas")
    for seen in (closed, closed, old, [old, closed], limited, make_source(project)):
        judge(make_unit(audit), "confirm", seen=seen)
    make_unit(audit)
    card = release_of(audit, purpose="study")
    assert (card["n_labels"], card["n_units_not_judged"], card["n_left_out_for_rights"]) == (1, 1, 5)
    assert card["left_out_for_rights"] == {"no_right": 2, "other_purpose": 1, "expired": 2}
    assert card["left_out_for_rights_by_source"] == [
        {"source": "closed", "name": "Closed", "reason": "no_right", "n_labels": 3},
        {"source": "limited", "name": "Limited", "reason": "other_purpose", "n_labels": 1},
        {"source": "old", "name": "Old", "reason": "expired", "n_labels": 2},
    ]


def test_imagery_limited_to_a_purpose_gives_labels_for_it_alone(project):
    audit = make_audit(project)
    judge(make_unit(audit), "confirm", seen=make_source(project, purpose="Mine rehabilitation; atlas"))
    assert [len(gather([audit], purpose).labels) for purpose in ("", "study", "ATLAS", "atlas; study")] == [0, 0, 1, 0]


def test_a_label_resting_on_a_free_and_a_bound_review_is_left_out(project):
    """What the second review saw helped to make it: it is not given away under the rights of the first."""
    audit = make_audit(project)
    unit = make_unit(audit)
    judge(unit, "confirm", seen=make_source(project))
    judge(unit, "confirm", by="bruno", seen=make_source(project, may_share_labels=False))
    snapshot = gather([audit])
    assert (snapshot.labels, snapshot.cells) == ([], [])
    assert snapshot.without_rights == {"no_right": 1}


def test_one_image_of_each_review_is_enough(project):
    audit = make_audit(project)
    unit, bound = make_unit(audit), make_source(project, may_share_labels=False, may_train=False)
    judge(unit, "confirm", seen=[bound, make_source(project)])
    judge(unit, "confirm", by="bruno", seen=[make_source(project), bound])
    assert [row["may_train"] for row in gather([audit]).labels] == [1]


def test_an_image_whose_tiles_never_came_gives_a_label_no_right(audit, source, annotator, project):
    """A broken picture of our own beside imagery that may not be shared."""
    bound = make_source(project, may_share_labels=False)
    make_scene(bound, footprint=square(-10.8, 6.3, 0.2), captured_on=date(2022, 1, 1))
    unit, free_day = audit.units.get(), source.scenes.get().captured_on
    view = {"bounds": [-10.75, 6.35, -10.65, 6.45], "zoom": 15, "ms": 900}
    images = [
        GivenImage(pane=1, source=source.uuid, captured_on=free_day, n_tiles=10, n_tiles_missing=10),
        GivenImage(pane=2, source=bound.uuid, captured_on=date(2022, 1, 1), n_tiles=10, views=[view]),
    ]
    workflow.record_review(unit, annotator, GivenReview(uuid=uuid4(), verdict="confirm", images=images))
    assert gather([audit]).labels == []


def test_a_mine_that_may_not_be_told_of_makes_no_clear_cell(project):
    cell = "lon_-10.695__lat_6.405"
    audit, cells = make_audit(project), make_audit(project, "cells", frame="cells", design="srs")
    free, bound = make_source(project), make_source(project, may_share_labels=False)
    judge(make_cell_unit(cells, cell), "searched", seen=free, share_seen=1.0)
    judge(make_unit(audit, at=(-10.6951, 6.4042)), "confirm", seen=bound)
    snapshot = gather([audit, cells])
    assert (snapshot.cells, snapshot.n_cells_left_out) == ([], 1)
    assert [row["label"] for row in gather([cells]).cells] == [0]


# ---- training ----


def test_a_release_says_which_rows_may_train(project):
    audit = make_audit(project)
    judge(make_unit(audit, source_id="a", at=POINT), "confirm", seen=make_source(project))
    judge(make_unit(audit, source_id="b", at=(-10.5, 6.4)), "confirm", seen=make_source(project, may_train=False))
    judge(make_unit(audit, source_id="c", at=(-10.3, 6.4)), "unsure", reason="no_image")
    snapshot = gather([audit])
    assert [row["may_train"] for row in snapshot.labels] == [1, 0, 1]
    assert [row["may_train"] for row in snapshot.cells] == [0, 1]
    card = release_of(audit)
    assert (card["n_labels_that_may_not_train"], card["n_cells_that_may_not_train"]) == (1, 1)


def test_training_asks_again_and_counts(project):
    audit = make_audit(project)
    first, second = make_source(project, slug="first"), make_source(project, slug="second", may_train=False)
    judge(make_unit(audit, source_id="a", at=POINT), "confirm", seen=first)
    judge(make_unit(audit, source_id="b", at=(-10.5, 6.4)), "confirm", seen=[first, second])
    judge(make_unit(audit, source_id="c", at=(-10.3, 6.4)), "confirm", seen=second)
    release = making.make_release(project, [audit]).release
    found = trainable(release)
    assert ([row["source_id"] for row in found.labels], len(found.cells)) == (["a", "b"], 2)
    assert (found.n_labels_left_out, found.n_cells_left_out) == (1, 1)
    assert found.left_out_by_source == [{"source": "second", "reason": "no_right", "n_labels": 1, "n_cells": 1}]
    withdraw(first, rights_expire_on=DAY)
    assert len(trainable(release, on=DAY).labels) == 2
    later = trainable(release, on=DAY + timedelta(days=1))
    assert (later.labels, later.cells, later.n_labels_left_out) == ([], [], 3)
    assert {"source": "first", "reason": "expired", "n_labels": 2, "n_cells": 2} in later.left_out_by_source


def test_training_for_another_purpose_leaves_limited_imagery_out(project):
    audit = make_audit(project)
    judge(make_unit(audit), "confirm", seen=make_source(project, slug="nicfi", purpose="forests"))
    release = making.make_release(project, [audit], purpose="forests").release
    assert len(trainable(release).labels) == 1
    other = trainable(release, purpose="gold prices")
    assert (other.labels, other.left_out_by_source[0]["reason"]) == ([], Lack.OTHER_PURPOSE)


def test_a_right_given_after_the_release_does_not_open_it(project):
    """The release said 0, and files of it say so too: make another release."""
    audit = make_audit(project)
    source = make_source(project, may_train=False)
    judge(make_unit(audit), "confirm", seen=source)
    release = making.make_release(project, [audit]).release
    withdraw(source, may_train=True)
    assert trainable(release).labels == []
    assert len(trainable(making.make_release(project, [audit]).release).labels) == 1


# ---- secrets ----


def test_no_address_or_key_of_a_provider_leaves(project, admin, client_of, settings):
    project.imagery_policy = "through_server"
    project.save()
    audit = make_audit(project)
    secrets = {"address": "https://tiles.example/SECRET-PATH/{z}", "access_key": "SECRET-KEY"}
    provider = make_source(project, name="Far", kind="xyz", options={"layer": "SECRET-LAYER"}, **secrets)
    ProviderDate.objects.create(source=provider, key="2024", address="https://tiles.example/SECRET-DATE")
    judge(make_unit(audit), "confirm", seen=provider)
    release = making.make_release(project, [audit]).release
    told = [str(release.data_card), str(gather([audit]))]
    told += [
        making.path_of(making.file_of(release, kind)).read_bytes().decode("latin-1") for kind in ("csv", "geojson")
    ]
    pages = ["releases/1/", "releases/1/card/", "imagery/", f"imagery/sources/{provider.uuid}/"]
    told += [client_of(admin).get(f"/p/{project.slug}/{page}").content.decode() for page in pages]
    assert all("SECRET" not in text for text in told)
    assert all(len(text) > 100 for text in told)
    assert "access_key" in {field.name for field in ImagerySource._meta.get_fields()}
