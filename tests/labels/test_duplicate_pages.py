"""Proposed duplicates, side by side, decided by a person and decided again."""

import pytest
from django.urls import reverse

from labels import duplicates
from labels.errors import BadInput
from labels.models import DuplicateDecision, DuplicatePair
from tests.factories import make_project, make_record, make_register

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair(project):
    first, second = make_register(project, name="Cadastre"), make_register(project, name="Other list")
    records = (
        make_record(first, at=(-10.7, 6.4), source_id="a1", name="Bray"),
        make_record(second, at=(-10.701, 6.4), source_id="b1", name="BRAY"),
    )
    return DuplicatePair.objects.create(
        project=project,
        first_record=records[0],
        second_record=records[1],
        reason="same_name",
        is_across_registers=True,
        distance_m=110.6,
        name_similarity=1,
    )


def pages(client, project, **asked):
    return client.get(reverse("labels:duplicates", args=[project.slug]), asked)


def decide(client, pair, decision, **headers):
    address = reverse("labels:duplicate_decide", args=[pair.project.slug, pair.pk])
    return client.post(address, {"decision": decision}, headers=headers)


def test_pair_is_shown_side_by_side(client_of, lead, project, pair):
    page = pages(client_of(lead), project).content.decode()
    for said in ("Bray", "BRAY", "a1", "b1", "Cadastre", "Other list", "111", "100 % alike", "two registers"):
        assert said in page, said


def test_a_pair_that_a_search_drops_meanwhile_is_refused_in_words(lead, pair):
    DuplicatePair.objects.all().delete()
    with pytest.raises(BadInput, match="no longer proposed"):
        duplicates.decide(pair, "merge", lead)


def test_last_decision_holds_and_the_others_stay(client_of, lead, project, pair):
    client = client_of(lead)
    assert decide(client, pair, "merge").status_code == 302
    assert decide(client, pair, "keep").status_code == 302
    assert list(DuplicateDecision.objects.order_by("pk").values_list("decision", "decided_by")) == [
        ("merge", lead.pk),
        ("keep", lead.pk),
    ]
    assert pages(client, project).context["page"].paginator.count == 0
    assert "Every pair is decided" in pages(client, project).content.decode()
    assert pages(client, project, decided="keep").context["page"].paginator.count == 1
    assert pages(client, project, decided="merge").context["page"].paginator.count == 0


def test_keys_get_the_pair_back_as_it_now_stands(client_of, lead, project, pair):
    answer = decide(client_of(lead), pair, "merge", **{"HX-Request": "true"})
    assert answer.status_code == 200
    page = answer.content.decode()
    assert f'id="pair-{pair.pk}"' in page and "Decided: one site" in page and "<html" not in page


def test_filters_choose_pairs(client_of, lead, project, pair):
    client = client_of(lead)
    found = lambda **asked: pages(client, project, **asked).context["page"].paginator.count  # noqa: E731
    assert found(reason="same_name") == found(register=pair.first_record.register.slug) == found(decided="all") == 1
    assert found(reason="near") == 0
    assert found(register=make_register(project).slug) == 0
    assert found(reason="nonsense", register="nobody", decided="?") == 1


def test_repeated_id_shows_both_rows(client_of, lead, project):
    from tests.factories import make_observation

    record = make_record(make_register(project), at=(-10.7, 6.4), name="Bray")
    first, second = record.observations.get(), make_observation(record, at=(-10.9, 6.4), name="Brai")
    DuplicatePair.objects.create(
        project=project,
        first_record=record,
        second_record=record,
        first_observation=first,
        second_observation=second,
        reason="repeated_id",
    )
    page = pages(client_of(lead), project).content.decode()
    assert "Bray" in page and "Brai" in page and "one id" in page and "-10.9" in page


def test_nonsense_is_no_decision(client_of, lead, pair):
    assert decide(client_of(lead), pair, "perhaps").status_code == 400
    assert not DuplicateDecision.objects.exists()


def test_who_may_decide(client_of, annotator, stranger, admin, project, pair):
    assert decide(client_of(stranger), pair, "keep").status_code == 404
    assert decide(client_of(annotator), pair, "keep").status_code == 403
    assert decide(client_of(admin), pair, "keep").status_code == 302


def test_pair_of_another_project_does_not_exist(client_of, admin, pair):
    other = make_project()
    other.memberships.create(user=admin, role="admin")
    address = reverse("labels:duplicate_decide", args=[other.slug, pair.pk])
    assert client_of(admin).post(address, {"decision": "keep"}).status_code == 404
    assert pages(client_of(admin), other).context["page"].paginator.count == 0


def test_empty_page_says_where_pairs_come_from(client_of, lead, project):
    assert "No duplicates are proposed" in pages(client_of(lead), project).content.decode()


def test_a_lead_searches_again_within_another_radius(client_of, project, lead):
    register = make_register(project)
    page = client_of(lead)
    answer = page.post(f"/p/{project.slug}/duplicates/search/", {"radius_m": "450,5"})
    job = project.jobs.get(kind="find_duplicates")
    assert answer.url.endswith(f"/jobs/{job.uuid}/")
    register.refresh_from_db()
    assert register.duplicate_radius_m == 450.5
    for wrong in ("", "0", "nan", "1e9", "near"):
        assert page.post(f"/p/{project.slug}/duplicates/search/", {"radius_m": wrong}, follow=True).status_code == 200
    assert project.jobs.count() == 1
