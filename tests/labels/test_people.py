"""Signing in, being locked out, joining by a one-time link, changing roles."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labels import membership
from labels.errors import Conflict
from labels.models import Assignment, Invitation, Membership
from labels.models.projects import Role
from tests.labels.test_hand_out import census

PASSWORD = "a long pass phrase"


def sign_in(client: Client, username: str, password: str, **extra):
    return client.post(reverse("login"), {"username": username, "password": password, **extra})


def test_the_right_password_opens(annotator, client):
    answer = sign_in(client, "alma", PASSWORD)
    assert (answer.status_code, answer.url) == (302, reverse("labels:projects"))


def test_five_wrong_passwords_lock_the_name(annotator, client):
    for _ in range(4):
        assert sign_in(client, "alma", "wrong").status_code == 200
    assert sign_in(client, "alma", "wrong").status_code == 429
    locked = sign_in(client, "alma", PASSWORD)
    assert locked.status_code == 429
    assert b"Too many wrong passwords" in locked.content


def test_wrong_passwords_from_afar_do_not_keep_a_person_out(annotator):
    for _ in range(5):
        sign_in(Client(REMOTE_ADDR="203.0.113.9"), "alma", "wrong")
    assert sign_in(Client(REMOTE_ADDR="203.0.113.9"), "alma", PASSWORD).status_code == 429
    assert sign_in(Client(REMOTE_ADDR="198.51.100.7"), "alma", PASSWORD).status_code == 302


def test_guessing_from_many_addresses_locks_the_name_everywhere(annotator):
    for k in range(20):
        sign_in(Client(REMOTE_ADDR=f"203.0.113.{k}"), "alma", "wrong")
    assert sign_in(Client(REMOTE_ADDR="198.51.100.7"), "alma", PASSWORD).status_code == 429


def test_a_lock_ends_after_a_quarter_of_an_hour(annotator, client, time_machine):
    for _ in range(5):
        sign_in(client, "alma", "wrong")
    time_machine.move_to(timezone.now() + timedelta(minutes=16))
    assert sign_in(client, "alma", PASSWORD).status_code == 302


@pytest.mark.parametrize("next_page", ["https://elsewhere.example/", "//elsewhere.example/", "javascript:alert(1)"])
def test_signing_in_never_leads_elsewhere(annotator, client, next_page):
    assert sign_in(client, "alma", PASSWORD, next=next_page).url == reverse("labels:projects")
    changed = client.post(reverse("set_language"), {"language": "fr", "next": next_page})
    assert "elsewhere" not in changed.url and "javascript" not in changed.url


def test_the_sign_in_page_changes_its_language(client, db):
    changed = client.post(reverse("set_language"), {"language": "fr", "next": reverse("login")})
    assert (changed.status_code, changed.url) == (302, reverse("login"))
    assert 'lang="fr"' in client.get(reverse("login")).content.decode()


def test_an_unknown_name_reads_like_a_wrong_password(annotator, client):
    wrong = sign_in(client, "alma", "wrong").content
    unknown = sign_in(client, "nobody", "wrong").content
    assert wrong.replace(b"alma", b"nobody").count(b"correct username and password") == unknown.count(
        b"correct username and password"
    )


def test_forms_need_their_token(admin, project):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.post(reverse("labels:invite", args=[project.slug]), {"role": "lead"})
    assert answer.status_code == 403
    assert not Invitation.objects.exists()


class TestJoining:
    def invite(self, client_of, admin, project, role="annotator") -> str:
        page = client_of(admin).post(reverse("labels:invite", args=[project.slug]), {"role": role, "note": "Alma"})
        return page.context["link"]

    def test_a_new_person_makes_a_login_and_is_in(self, client_of, admin, project, client):
        link = self.invite(client_of, admin, project)
        told = {"username": "dora", "password1": "quiet river stones", "password2": "quiet river stones"}
        answer = client.post(link, told)
        assert answer.url == reverse("labels:overview", args=[project.slug])
        assert Membership.objects.get(user__username="dora").role == Role.ANNOTATOR
        assert client.get(answer.url).status_code == 200

    def test_the_link_works_once(self, client_of, admin, project, stranger):
        link = self.invite(client_of, admin, project)
        assert client_of(stranger).post(link).status_code == 302
        other = get_user_model().objects.create_user("olga")
        assert client_of(other).post(link).status_code == 404
        assert not Membership.objects.filter(user=other).exists()

    def test_the_link_expires(self, client_of, admin, project, stranger):
        link = self.invite(client_of, admin, project)
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        assert client_of(stranger).get(link).status_code == 404

    def test_only_the_hash_is_kept(self, client_of, admin, project):
        link = self.invite(client_of, admin, project)
        token = link.rstrip("/").rpartition("/")[2]
        assert token not in str(Invitation.objects.values().get())


def test_the_last_admin_stays(admin, project):
    member = Membership.objects.get(user=admin)
    with pytest.raises(Conflict):
        membership.remove(member)
    with pytest.raises(Conflict):
        membership.change_role(member, Role.LEAD)


def test_a_command_lets_the_first_admin_in(stranger, client_of):
    call_command("add_member", project="drc", country="COD", user="stefan", role="admin")
    assert client_of(stranger).get("/p/drc/people/").status_code == 200
    with pytest.raises(CommandError, match="no login 'nobody'"):
        call_command("add_member", project="drc", user="nobody", role="admin")


def test_who_leaves_gives_the_units_back(project, admin, annotator, second_annotator):
    from labels import workflow

    audit = census(project, 2)
    workflow.hand_out(audit, annotator, n=2)
    membership.remove(Membership.objects.get(user=annotator))
    assert not Assignment.objects.filter(annotator=annotator).exists()
    assert len(workflow.hand_out(audit, second_annotator, n=2)) == 2


def test_times_are_in_the_projects_zone(client_of, admin, project):
    project.time_zone = "Africa/Maputo"
    project.save()
    page = client_of(admin).get(reverse("labels:people", args=[project.slug]))
    joined = Membership.objects.get(user=admin).joined_at
    assert page.status_code == 200
    assert joined.strftime("%Y") in page.content.decode()
