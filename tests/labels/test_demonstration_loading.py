"""The demonstration comes in through the same doors as any other data, and a second time changes nothing."""

import json

import pytest

from labels import ground_truth
from labels.demonstration import loading
from labels.models import Audit, Membership, Observation, Review, Scene, SiteRecord


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A corner of the country with a few records."""
    monkeypatch.setattr(loading, "REGION_M", (3000, 2400))
    monkeypatch.setattr(loading, "MARGIN_M", 300)
    monkeypatch.setattr(loading, "N_RECORDS", 9)
    monkeypatch.setattr(loading, "N_REVIEWED", 5)
    logins = tmp_path / "state.json"
    logins.write_text(json.dumps({"logins": {"annotator1": "a quiet pass phrase"}}))
    monkeypatch.setenv("ASM_DEMO_LOGINS", str(logins))


def counts() -> dict[str, int]:
    return {
        model.__name__: model.objects.count() for model in (SiteRecord, Observation, Scene, Audit, Review, Membership)
    }


@pytest.mark.django_db
def test_it_loads_once(small):
    project = loading.load(lambda line: None)
    first = counts()
    assert first["SiteRecord"] == 9
    assert first["Scene"] == 2
    assert first["Review"] == 10
    assert first["Membership"] == 5
    loading.load(lambda line: None)
    assert counts() == first
    judged = [outcome for outcome in ground_truth.outcomes(Audit.objects.get(project=project)) if outcome.n_reviews]
    assert len(judged) == 5
    assert {outcome.n_reviews for outcome in judged} == {2}


@pytest.mark.django_db
def test_an_interrupted_load_goes_on(small, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(loading, "add_imagery", stop)
        with pytest.raises(KeyboardInterrupt):
            loading.load(lambda line: None)
    assert (SiteRecord.objects.count(), Review.objects.count()) == (9, 0)
    with monkeypatch.context() as short:
        short.setattr(loading, "DATES", loading.DATES[-1:])
        loading.load(lambda line: None)
    assert (SiteRecord.objects.count(), Review.objects.count()) == (9, 10)


@pytest.mark.django_db
def test_the_logins_open(small, client):
    loading.add_people(loading.Project.objects.create(**loading.PROJECT), lambda line: None)
    page = client.post("/login/", {"username": "annotator1", "password": "a quiet pass phrase"})
    assert page.status_code == 302
