"""No place, and no token, in a line of our log."""

import logging
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection
from django.urls import reverse


@pytest.fixture
def log_lines(settings, caplog):
    """What the configured formatter makes of the records so far."""
    formatter = next(each.formatter for each in logging.getLogger().handlers if type(each) is logging.StreamHandler)
    return lambda: "\n".join(formatter.format(record) for record in caplog.records)


def test_a_tile_that_is_not_there_is_logged_without_its_place(client_of, annotator, log_lines):
    address = reverse("labels:tile", args=[uuid4(), 17, 61638, 63200])
    assert client_of(annotator).get(address).status_code == 404
    assert "Not Found" in log_lines()
    assert "61638" not in log_lines()


def test_a_closed_invitation_is_logged_without_its_token(client, db, log_lines):
    assert client.get(reverse("join", args=["a-token-of-somebody"])).status_code == 404
    assert "Not Found" in log_lines()
    assert "a-token" not in log_lines()


def test_rows_that_the_database_quotes_stay_out(project, log_lines):
    name = f"secret {uuid4()}"  # the trace shows lines of code, never a value
    try:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO labels_project (slug, name) VALUES ('kept', %s)", [name])
    except IntegrityError:
        logging.getLogger("labels").exception("It failed.")
    assert "IntegrityError" in log_lines()
    assert name not in log_lines()
