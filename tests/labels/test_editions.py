"""Dated imports of a register: what a later one changes, what it no longer names, taking one back."""

import csv
import time
from datetime import date, timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError
from django.db import connections
from django.urls import reverse
from django.utils import timezone

from labels import editions, jobs, settling
from labels.errors import Conflict
from labels.ingest import registers
from labels.models import AccessRecord, Edition, EditionRow, Job, Observation, Placement, Register, SiteRecord
from tests.factories import make_edition, make_register
from tests.registered import contents, load, positions, withdraw, write_list

pytestmark = pytest.mark.django_db

A = [("a1", -10.5, 6.25), ("a2", -10.75, 6.5), ("a3", -10.2, 6.1)]
B = [("a1", -10.5, 6.25), ("a2", -10.85, 6.5), ("a4", -10.3, 6.3)]


@pytest.fixture
def lists(tmp_path):
    return write_list(tmp_path / "a.csv", *A), write_list(tmp_path / "b.csv", *B)


def refusal_of(function, *arguments, **options) -> str:
    with pytest.raises(CommandError) as refused:
        function(*arguments, **options)
    assert refused.value.returncode == 2
    return str(refused.value)


# ---- dates ----


def test_an_edition_has_the_date_it_was_published(lists):
    load(lists[0], "--published", "2021-06-30")
    assert Edition.objects.get().published_on == date(2021, 6, 30)


def test_the_same_file_again_may_date_its_edition(lists):
    load(lists[0])
    assert load(lists[0], "--published", "2021-06-30")[-1].startswith("0 created, 0 updated, 3 unchanged")
    assert Edition.objects.get().published_on == date(2021, 6, 30)
    load(lists[0])
    assert Edition.objects.get().published_on == date(2021, 6, 30)


def test_dates_that_cannot_be_are_refused(lists):
    with pytest.raises(CommandError, match="write it as 2021-06-30"):
        load(lists[0], "--published", "30/06/2021")
    later = (timezone.now() + timedelta(days=3)).date().isoformat()
    assert "lies in the future" in refusal_of(load, lists[0], "--published", later)
    assert not Register.objects.exists()


def test_an_older_list_imported_later_counts_and_is_said(lists, client_of, lead, project):
    load(lists[0], "--published", "2021-06-30", project=project.slug)
    lines = load(lists[1], "--published", "2019-06-30", project=project.slug)
    said = "Edition 1 was published later than this one; the latest import counts all the same."
    assert said in lines
    page = reverse("labels:edition", args=[project.slug, "list", 2])
    assert "Edition 1 was published later" in client_of(lead).get(page).content.decode()
    withdraw(1, project=project.slug)
    assert "was published later" not in client_of(lead).get(page).content.decode()


# ---- later editions ----


def test_records_that_vanish_are_counted_and_found(lists):
    load(lists[0])
    lines = load(lists[1])
    assert lines[-2] == "1 records of the edition before are not in this one; they stay, marked so."
    assert lines[-1] == "1 created, 1 updated, 1 unchanged, 0 refused (3 rows)"
    register = Register.objects.get(slug="list")
    assert list(register.editions.order_by("number").values_list("n_vanished", flat=True)) == [0, 1]
    gone = register.placements.exclude(edition=register.latest_edition())
    assert [each.site_record.source_id for each in gone] == ["a3"]
    assert positions(register)["a3"] == (-10.2, 6.1)


def test_a_b_a_is_three_editions_and_lies_as_the_first(lists):
    load(lists[0])
    register = Register.objects.get()
    first = positions(register)
    load(lists[1])
    assert positions(register) != first
    assert load(lists[0])[-1] == "0 created, 0 updated, 3 unchanged, 0 refused (3 rows)"
    assert positions(register) == first | {"a4": (-10.3, 6.3)}
    assert Edition.objects.count() == 3
    assert Observation.objects.count() == 5


def test_one_changed_row_of_a_real_register_is_one_new_revision(shared_data, tmp_path):
    path = shared_data / "asm_records" / "ipis_drc_mine_visits_sample.csv"
    load(path, "--map", "source_id=pcode")
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    before, n_records = Observation.objects.count(), SiteRecord.objects.count()
    for place in (0, 57, 231):
        column = header.index("mineral1")
        rows[place][column] = f"{rows[place][column]} et autre"
        later = tmp_path / f"later-{place}.csv"
        with later.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
        assert load(later)[-1] == f"0 created, 1 updated, {n_records - 1} unchanged, 0 refused (232 rows)"
    assert (Observation.objects.count(), SiteRecord.objects.count()) == (before + 3, n_records)
    assert Edition.objects.filter(n_vanished=0).count() == 4


@pytest.mark.parametrize("changed", [0, 99, 199])
def test_one_changed_row_of_a_generated_register_is_one_new_revision(tmp_path, changed):
    rows = [(f"s{k}", -10 + k / 1000, 6 + k / 2000) for k in range(200)]
    load(write_list(tmp_path / "a.csv", *rows))
    rows[changed] = (rows[changed][0], 5.5, 5.5)
    later = write_list(tmp_path / "b.csv", *reversed(rows))  # the order of rows tells nothing
    assert load(later)[-1] == "0 created, 1 updated, 199 unchanged, 0 refused (200 rows)"


# ---- taking one back ----


def test_a_withdrawn_edition_counts_no_more_and_loses_nothing(lists):
    load(lists[0])
    register = Register.objects.get()
    first = positions(register)
    load(lists[1])
    n_rows = Observation.objects.count(), EditionRow.objects.count(), SiteRecord.objects.count()
    assert withdraw(2)[-1] == "Edition 2 is withdrawn. 1 record is in no edition any more."
    assert positions(register) == first
    assert n_rows == (Observation.objects.count(), EditionRow.objects.count(), SiteRecord.objects.count())
    edition = Edition.objects.get(number=2)
    assert edition.is_withdrawn and not edition.is_standing
    assert edition.withdrawn_reason == "the wrong file"
    assert register.latest_edition().number == 1
    assert AccessRecord.objects.filter(action="withdraw_edition").count() == 1


def test_the_file_of_a_withdrawn_edition_can_be_imported_again(lists):
    load(lists[0])
    withdraw(1)
    register = Register.objects.get()
    assert positions(register) == {}
    assert load(lists[0])[-1] == "0 created, 0 updated, 3 unchanged, 0 refused (3 rows)"
    assert Edition.objects.count() == 2
    assert len(positions(register)) == 3


def test_withdrawing_an_edition_in_the_middle_leaves_the_latest(lists, tmp_path):
    load(lists[0])
    load(lists[1])
    load(write_list(tmp_path / "c.csv", ("a1", -10.5, 6.25)))
    register = Register.objects.get()
    assert Edition.objects.get(number=3).n_vanished == 2  # a2 and a4
    withdraw(2)
    assert positions(register) == {"a1": (-10.5, 6.25), "a2": (-10.75, 6.5), "a3": (-10.2, 6.1)}
    assert Edition.objects.get(number=3).n_vanished == 2  # a2 and a3, of the edition that now is the one before


def test_a_withdrawal_takes_the_mapping_back_too(tmp_path):
    """Columns read wrongly are a reason to withdraw; the next import does not read them so again."""
    path = tmp_path / "a.csv"
    path.write_text("id,longitude,latitude,old,new\n1,1,2,A,B\n")
    load(path, "--map", "stated_region=old")
    load(path, "--map", "stated_region=new")
    register = Register.objects.get()
    assert register.column_mapping["stated_region"] == "new"
    withdraw(2)
    register.refresh_from_db()
    assert register.column_mapping["stated_region"] == "old"
    withdraw(1)
    register.refresh_from_db()
    assert register.column_mapping == {}


def test_nothing_is_withdrawn_twice_or_without_a_reason(lists):
    load(lists[0])
    assert "Say why" in refusal_of(withdraw, 1, "  ")
    assert "at most 300" in refusal_of(withdraw, 1, "x" * 301)
    withdraw(1)
    assert "withdrawn already" in refusal_of(withdraw, 1)
    assert "no edition 7. Its editions: 1." in refusal_of(withdraw, 7)
    assert "no register 'other'" in refusal_of(withdraw, 1, register="other")


def test_an_admin_withdraws_on_the_page(client_of, admin, lead, project, lists):
    load(lists[0], project=project.slug)
    page = reverse("labels:edition", args=[project.slug, "list", 1])
    action = reverse("labels:edition_withdraw", args=[project.slug, "list", 1])
    assert action not in client_of(lead).get(page).content.decode()
    assert client_of(lead).post(action, {"reason": "wrong", "is_meant": "on"}).status_code == 403
    client = client_of(admin)
    assert action in client.get(page).content.decode()
    assert "Say why" in client.post(action, {"reason": "wrong"}, follow=True).content.decode()
    asked = client.post(action, {"reason": "read <wrongly>", "is_meant": "on"})
    job = Job.objects.get(kind=Job.Kind.WITHDRAW_EDITION)
    assert asked.url == reverse("labels:job", args=[project.slug, job.uuid])
    assert jobs.run(job.pk).state == Job.State.DONE
    told = client.get(page).content.decode()
    assert "read &lt;wrongly&gt;" in told and "by ada" in told and action not in told
    edition = Edition.objects.get()
    assert edition.withdrawn_by == admin
    assert AccessRecord.objects.get(action="withdraw_edition").user == admin


def test_who_lost_the_right_meanwhile_withdraws_nothing(admin, project, lists):
    load(lists[0], project=project.slug)
    job = editions.withdraw_edition(Edition.objects.get(), admin, "wrong")
    admin.memberships.update(role="lead")
    assert jobs.run(job.pk).state == Job.State.FAILED
    assert not Edition.objects.get().is_withdrawn


def test_a_withdrawal_killed_after_its_mark_is_finished_by_its_job(admin, project, lists, monkeypatch):
    load(lists[0], project=project.slug)
    job = editions.withdraw_edition(Edition.objects.get(), admin, "wrong")

    class Killed(BaseException):
        pass

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as killing:
        killing.setattr("labels.placement.unplace_records", killed)
        with pytest.raises(Killed):
            jobs.run(job.pk)
    assert Placement.objects.count() == 3
    Job.objects.update(heartbeat_at="2020-01-01T00:00Z")
    assert jobs.run(job.pk).state == Job.State.DONE
    assert not Placement.objects.exists()
    assert AccessRecord.objects.filter(action="withdraw_edition").count() == 1


def cancelled_while_placing(monkeypatch, job: Job) -> Job:
    with monkeypatch.context() as cancelling:
        cancelling.setattr(jobs.RunningJob, "report_every_s", 0)
        place = settling.placement.place_records

        def cancel_first(**asked):
            jobs.cancel(job)
            return place(**asked)

        cancelling.setattr("labels.settling.placement.place_records", cancel_first)
        done = jobs.run(job.pk)
    assert done.state == Job.State.CANCELLED
    return done


def test_a_withdrawal_cancelled_after_its_mark_says_so_and_is_tried_again(admin, project, lists, monkeypatch):
    load(lists[0], project=project.slug)
    load(lists[1], project=project.slug)
    edition = Edition.objects.get(number=2)
    done = cancelled_while_placing(monkeypatch, editions.withdraw_edition(edition, admin, "wrong"))
    assert done.error.startswith("Edition 2 is withdrawn, but") and done.error.endswith("Try again to finish the work.")
    assert Placement.objects.filter(edition=edition).exists()
    assert jobs.run(jobs.retry(done, requested_by=admin).pk).state == Job.State.DONE
    assert not Placement.objects.filter(edition=edition).exists()
    with pytest.raises(Conflict, match="withdrawn already"):
        editions.withdraw_edition(edition, admin, "again")


def test_an_import_cancelled_after_it_is_stored_says_so_and_is_tried_again(admin, project, lists, monkeypatch):
    load(lists[0], project=project.slug)
    register, mapping = Register.objects.get(), Register.objects.get().column_mapping
    parameters = registers.parameters_of(register, mapping, path=lists[1])
    job = jobs.ask(project=project, kind=Job.Kind.LOAD_REGISTER, parameters=parameters)
    done = cancelled_while_placing(monkeypatch, job)
    assert done.error.startswith("Edition 2 is stored, but")
    assert jobs.run(jobs.retry(done, requested_by=admin).pk).state == Job.State.DONE
    assert Edition.objects.count() == 2
    assert positions(register) == {"a1": (-10.5, 6.25), "a2": (-10.85, 6.5), "a3": (-10.2, 6.1), "a4": (-10.3, 6.3)}


# ---- one at a time ----


@pytest.mark.parametrize("state", [Job.State.QUEUED, Job.State.RUNNING])
def test_a_second_change_is_refused_when_asked(project, admin, lists, state, monkeypatch):
    monkeypatch.setattr(editions, "_is_let_go", lambda register: False)
    load(lists[0], project=project.slug)
    register = Register.objects.get()
    parameters = {"register": register.pk}
    Job.objects.create(project=project, kind=Job.Kind.LOAD_REGISTER, state=state, parameters=parameters)
    assert f"job that is {state}" in refusal_of(load, lists[1], project=project.slug)
    assert f"job that is {state}" in refusal_of(withdraw, 1, project=project.slug)
    with pytest.raises(Conflict):
        editions.withdraw_edition(Edition.objects.get(), admin, "wrong")
    assert load(lists[1], register="another", project=project.slug)[-1].startswith("3 created")


def test_the_mapping_page_refuses_in_words(client_of, admin, project):
    from tests.labels.test_register_pages import fields_of, send

    client = client_of(admin)
    sent = send(client, project)
    page = client.get(sent.url)
    register = Register.objects.get()
    other = Job.objects.create(project=project, kind=Job.Kind.LOAD_REGISTER, parameters={"register": register.pk})
    again = client.post(sent.url, fields_of(page) | {"action": "import"})
    assert "Wait until it is over" in again.content.decode()
    assert Job.objects.get() == other


def test_the_page_takes_the_date_of_publication(client_of, admin, project):
    from tests.labels.test_register_pages import fields_of, send

    client = client_of(admin)
    later = (timezone.now() + timedelta(days=3)).date().isoformat()
    assert "lies in the future" in send(client, project, published_on=later).content.decode()
    sent = send(client, project, published_on="2021-06-30")
    client.post(sent.url, fields_of(client.get(sent.url)) | {"action": "import"})
    assert jobs.run(Job.objects.get().pk).state == Job.State.DONE
    assert Edition.objects.get().published_on == date(2021, 6, 30)
    page = client.get(reverse("labels:edition", args=[project.slug, Register.objects.get().slug, 1]))
    assert "Published on 30 Jun 2021" in page.content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_second_change_is_refused_when_run(project, lists):
    """Somebody else, on another connection, holds the register."""
    register = make_register(project, slug="list")
    mapping = {"source_id": "id", "longitude": "longitude", "latitude": "latitude"}
    job = jobs.ask(
        project=project,
        kind=Job.Kind.LOAD_REGISTER,
        parameters=registers.parameters_of(register, mapping, path=lists[0]),
    )
    other = connections.create_connection("default")
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [editions.LOCK, register.pk % 2**31])
        done = jobs.run(job.pk)
    other.close()
    assert done.state == Job.State.FAILED
    assert done.error.startswith("Another import of the register")


def test_a_job_that_was_killed_is_gone_on_with_by_the_same_command(project, lists):
    register = make_register(project, slug="list")
    mapping = {"source_id": "id", "longitude": "longitude", "latitude": "latitude"}
    parameters = registers.parameters_of(register, mapping, path=lists[0])
    left = Job.objects.create(
        project=project,
        kind=Job.Kind.LOAD_REGISTER,
        state=Job.State.RUNNING,
        heartbeat_at=timezone.now(),
        n_attempts=Job.MAX_ATTEMPTS,
        parameters=parameters,
    )
    begun = time.monotonic()
    assert load(lists[0], project=project.slug)[-1].startswith("3 created")
    assert time.monotonic() - begun < 5
    left.refresh_from_db()
    assert (left.state, Edition.objects.get().job) == (Job.State.DONE, left)


def test_a_killed_job_of_another_file_is_ended(project, lists):
    register = make_register(project, slug="list")
    left = Job.objects.create(
        project=project,
        kind=Job.Kind.LOAD_REGISTER,
        state=Job.State.RUNNING,
        heartbeat_at=timezone.now(),
        parameters={"register": register.pk},
    )
    assert load(lists[0], project=project.slug)[-1].startswith("3 created")
    left.refresh_from_db()
    assert left.state == Job.State.FAILED and "killed" in left.error


def test_a_failed_import_is_not_tried_again_beside_another(client_of, admin, project):
    register = make_register(project)
    make_edition(register)
    failed = Job.objects.create(
        project=project,
        kind=Job.Kind.LOAD_REGISTER,
        state=Job.State.FAILED,
        finished_at=timezone.now(),
        parameters={"register": register.pk},
    )
    Job.objects.create(project=project, kind=Job.Kind.WITHDRAW_EDITION, parameters={"register": register.pk})
    page = client_of(admin).post(reverse("labels:job_retry", args=[project.slug, failed.uuid]), follow=True)
    assert "withdrawal of an import" in page.content.decode()
    assert Job.objects.count() == 2


def test_contents_tell_registers_apart(lists):
    """The comparison that the kill tests rest on sees a difference."""
    load(lists[0], register="one")
    load(lists[0], register="two")
    load(lists[1], register="three")
    one, two, three = (contents(Register.objects.get(slug=slug)) for slug in ("one", "two", "three"))
    assert one == two != three
    assert Path(lists[0]).is_file() and one["placement"]
