"""What a test that committed leaves to the next one: nothing but what the migrations made."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.db import IntegrityError, connection, transaction

from labels.models import Review, SiteRecord
from tests import emptying
from tests.crowds import make_crowd
from tests.factories import make_register
from tests.labelled import judge, make_audit, make_unit

pytestmark = pytest.mark.django_db(transaction=True)


def n_rows() -> int:
    """Of every table of ours, PostGIS's own excepted."""
    ours = (model for model in apps.get_models() if model._meta.managed)
    return sum(model.objects.count() for model in ours if model._meta.db_table not in emptying.KEPT)


def test_few_rows_are_deleted_and_reviews_still_refuse_it_afterwards(project):
    n_permissions = Permission.objects.count()
    for _ in range(2):
        judge(make_unit(make_audit(project)), "confirm")
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            Review.objects.all().delete()
        emptying.empty_tables()
        assert n_rows() == 0
        project.save(force_insert=True)
    assert Permission.objects.count() == n_permissions > 100


def test_many_rows_are_truncated(project):
    make_crowd(make_register(project), [(-10 + k / 1000, 6.0) for k in range(emptying.FEW_ROWS + 1)])
    assert SiteRecord.objects.count() > emptying.FEW_ROWS
    emptying.empty_tables()
    assert n_rows() == 0 and Permission.objects.exists()


def test_a_commit_waits_for_no_disk():
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("off",)
