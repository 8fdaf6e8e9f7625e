"""The small named cast of every test, and the real data beside the repository."""

import os
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client, TransactionTestCase
from django.utils.translation import override

from labels.models import Membership
from labels.models.projects import Role
from tests import emptying
from tests.factories import make_project

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright's synchronous API runs inside an event loop

SHARED_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """The test database need not survive its server: a commit waits for no disk. No test stops the server."""
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            name = connection.ops.quote_name(connection.settings_dict["NAME"])
            cursor.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        connection.close()  # the setting holds from the next connection on


@pytest.fixture(scope="session", autouse=True)
def emptied_quickly():
    """After each test that commits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", emptying.empty_tables)
        yield


@pytest.fixture(autouse=True)
def own_media(settings, tmp_path_factory):
    settings.MEDIA_ROOT = str(tmp_path_factory.mktemp("media"))


@pytest.fixture(autouse=True)
def plain_passwords(settings):
    """Argon2 is slow on purpose; tests log in hundreds of times."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def static_files_looked_up_when_asked_for(settings):
    """Each new Client would otherwise list all thousand of them first; the web servers of tests/browser still do."""
    settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture(autouse=True)
def english():
    """Each test begins in English, whatever language the last page was asked in."""
    with override(django_settings.LANGUAGE_CODE):
        yield


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data, where the machine has it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real data (../shared/data) is not on this machine")
    return SHARED_DATA


@pytest.fixture
def project(db):
    return make_project()


def _person(name: str, project=None, role: str | None = None):
    user = get_user_model().objects.create_user(name, password="a long pass phrase")
    if role:
        Membership.objects.create(project=project, user=user, role=role)
    return user


@pytest.fixture
def annotator(project):
    return _person("alma", project, Role.ANNOTATOR)


@pytest.fixture
def second_annotator(project):
    return _person("bruno", project, Role.ANNOTATOR)


@pytest.fixture
def adjudicator(project):
    return _person("carla", project, Role.ADJUDICATOR)


@pytest.fixture
def lead(project):
    return _person("lena", project, Role.LEAD)


@pytest.fixture
def admin(project):
    return _person("ada", project, Role.ADMIN)


@pytest.fixture
def stranger(db):
    """A person with a login and no membership here."""
    return _person("stefan")


@pytest.fixture
def client_of():
    """A browser logged in as the person."""

    def log_in(user) -> Client:
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return log_in
