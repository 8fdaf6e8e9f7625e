"""A source's revision: what browsers and servers keep tiles under."""

from datetime import date

import pytest

from labels.imagery import rights
from labels.models import ImagerySource, ProviderDate
from labels.models.projects import ImageryPolicy
from tests.factories import make_scene, make_source, square

pytestmark = pytest.mark.django_db


def revision(source: ImagerySource) -> int:
    return ImagerySource.objects.values_list("revision", flat=True).get(pk=source.pk)


@pytest.fixture
def source(project) -> ImagerySource:
    return make_source(project)


def test_it_grows_with_every_change_of_the_pictures(source):
    seen = [revision(source)]
    scene = make_scene(source, footprint=square(29, -3, 0.1))
    seen.append(revision(source))
    scene.captured_on, scene.captured_known_by = date(2020, 1, 1), "stated"
    scene.save()
    seen.append(revision(source))
    scene.delete()
    seen.append(revision(source))
    assert seen == sorted(set(seen))


def test_it_grows_with_the_offset_and_not_with_a_name(source):
    before = revision(source)
    source.name = "Another name"
    source.save()
    assert revision(source) == before
    source.offset_east_m = 3
    source.save()
    assert revision(source) == before + 1


def test_a_row_read_earlier_does_not_bring_an_old_revision_back(source):
    make_scene(source, footprint=square(29, -3, 0.1))
    now = revision(source)
    source.save()  # read before the scene came
    assert revision(source) == now


def test_it_grows_with_the_dates_of_a_provider(project):
    source = make_source(project, kind="xyz", address="https://tiles.example/{z}/{x}/{y}")
    before = revision(source)
    ProviderDate.objects.create(source=source, key="2020")
    assert revision(source) == before + 1


def test_a_provider_is_asked_only_where_the_project_lets_our_server(project):
    source = make_source(project, kind="xyz", address="https://tiles.example/{z}/{x}/{y}")
    assert not ImagerySource.objects.filter(rights.viewable()).exists()
    assert "local imagery only" in rights.why_hidden(source)
    type(project).objects.update(imagery_policy=ImageryPolicy.THROUGH_SERVER)
    assert ImagerySource.objects.filter(rights.viewable()).exists()
