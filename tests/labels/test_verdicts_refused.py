"""What the JSON API answers to a verdict: a browser keeps sending one that meets an error of ours."""

import json
from uuid import uuid4

import pytest
from django.urls import reverse

from tests.factories import make_register, make_scene, make_source, square
from tests.judging import make_audit


@pytest.fixture
def source(project):
    source = make_source(project)
    make_scene(source, footprint=square(-10.8, 6.3, 0.2))
    return source


@pytest.fixture
def send(project, annotator, client_of):
    """Send an unsure with these fields."""
    unit = make_audit(make_register(project), 1).units.get()
    client = client_of(annotator)
    client.raise_request_exception = False

    def post(**fields):
        body = {"uuid": str(uuid4()), "unit": str(unit.uuid), "verdict": "unsure", "reason": "cloud"} | fields
        return client.post(reverse("api:reviews", args=[project.slug]), json.dumps(body), "application/json")

    return post


@pytest.mark.parametrize("fields", [{"note": "a\x00b"}, {"shown": ["a\x00b"]}, {"viewport": "\x00"}])
def test_text_the_database_cannot_keep_is_refused(send, fields):
    assert send(**fields).status_code == 422


@pytest.mark.parametrize("adjustments", [{"brightness": float("nan")}, {"bright\x00ness": 1}])
def test_adjustments_the_database_cannot_keep_are_refused(send, source, adjustments):
    image = {"pane": 1, "source": str(source.uuid)}
    assert send(images=[image]).status_code == 201
    assert send(images=[image | {"adjustments": adjustments}]).status_code == 422
