"""The doctor says what the machine can do, in words, and ends with 1 where something must be mended."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from labels import doctor, isolation

pytestmark = pytest.mark.django_db


def findings() -> list[str]:
    return [finding.says for finding in doctor.examine()]


def test_it_tells_of_gdal_drivers_database_and_media():
    said = " ".join(findings())
    for word in ("GDAL 3.", "ESRI Shapefile", "reads registers works", "postgis 3.", "unaccent", "can be written"):
        assert word in said


def test_it_says_which_layers_hold_without_a_process_of_no_network(monkeypatch):
    monkeypatch.setattr(isolation, "without_network", lambda: ())
    (found,) = doctor.network()
    assert found.is_right and found.is_warning
    assert "cannot make a process without a network" in found.says and "The other layers hold" in found.says


def test_it_ends_with_one_where_something_is_wrong(monkeypatch, settings, tmp_path):
    (tmp_path / "file").write_text("")
    settings.MEDIA_ROOT = str(tmp_path / "file" / "media")
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    out = StringIO()
    with pytest.raises(CommandError) as error:
        call_command("doctor", stdout=out)
    assert error.value.returncode == 1
    assert "cannot be written" in out.getvalue() and "Redis does not answer" in out.getvalue()


def test_it_ends_well_where_nothing_is():
    out = StringIO()
    call_command("doctor", stdout=out)
    assert "wrong" not in out.getvalue()
