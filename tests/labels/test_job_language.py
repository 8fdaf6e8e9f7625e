"""Work says its stages, errors and results in the language of who asked for it."""

import pytest
from django.utils.translation import gettext, override

from labels import jobs
from labels.errors import BadInput
from labels.ingest.readers import open_rows
from labels.models import Job


@pytest.fixture
def failing(monkeypatch):
    def work(running):
        raise BadInput(gettext("The file is empty."))

    monkeypatch.setitem(jobs._work, Job.Kind.LOAD_REGISTER, work)


def test_errors_speak_the_language_of_the_page_that_asked(project, failing):
    with override("fr"):
        asked = jobs.ask(project=project, kind=Job.Kind.LOAD_REGISTER)

    assert jobs.run(asked.pk).error == "Le fichier est vide."


def test_commands_speak_english(project, failing):
    with override("pt"), pytest.raises(BadInput, match=r"^The file is empty\.$"):
        jobs.run_now(project=project, kind=Job.Kind.LOAD_REGISTER, parameters={}, report=lambda *_: None)


def test_the_reading_process_refuses_rows_in_the_language_of_the_job(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,longitude,latitude\n,12.5,1\n")
    mapping = {"source_id": "id", "longitude": "longitude", "latitude": "latitude"}
    with override("fr"):
        lines = [
            found for found in open_rows(path).observations(mapping, {}, batch_rows=10) if not isinstance(found, int)
        ]
    assert "la ligne n’a pas d’identifiant" in lines[0].data.decode()
