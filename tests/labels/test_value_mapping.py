"""What the words of a register mean is asked once, kept with the register, and tried before anything is stored."""

import pytest
from django.core.management import CommandError, call_command

from labels import jobs
from labels.errors import BadInput
from labels.ingest import meanings, registers
from labels.ingest.staging import Staging
from labels.models import Edition, Observation, Register
from tests.factories import make_area, make_project, make_register, square
from tests.labels.test_register_pages import fields_of, run_last_job, send

pytestmark = pytest.mark.django_db

LIST = (
    b"id,nom,longitude,latitude,minerai,statut legal,qualification,province,date\n"
    b"a1,Bray,-10.5,6.25,Manvenve,Permis XYZ,Vert,Kesou,2015-06-30\n"
    b"a2,Koss,-10.4,6.5,Or,,No class,Kessou,2015-01-01\n"
    b"a3,Lom,6.5,-10.4,Or,,,Kessou,2015-06-30\n"
    b"a4,Tem,40.1,20.2,Or,,,Kessou,2015-06-30\n"
    b"a5,Nul,0,0,Or,,,Kessou,2015-06-30\n"
)


@pytest.fixture
def areas(project):
    make_area(project, square(-11, 6, 2), name="Kessou")
    make_area(project, square(-13, 6, 2), name="Nyandé")


@pytest.fixture
def page(client_of, admin, project, areas):
    client = client_of(admin)
    return client.get(send(client, project, LIST).url)


def asked(page) -> dict[str, dict]:
    return {each.name: {word.text: word for word in each.asked} for each in page.context["meanings"]}


def answers(page, **codes: str) -> dict[str, str]:
    """The form of the page with these words answered."""
    form = fields_of(page)
    for each in page.context["meanings"]:
        for number, word in enumerate(each.asked, start=1):
            form[f"word-{each.name}-{number}"] = word.text
            form[f"code-{each.name}-{number}"] = codes.get(word.text, "")
    return form


def test_unknown_words_are_listed_with_what_they_are_like(page):
    words = asked(page)
    assert {name: set(found) for name, found in words.items() if found} == {
        "mineral": {"Manvenve"},
        "legal_status": {"Permis XYZ"},
        "trade_status": {"No class"},
        "stated_region": {"Kesou"},
    }
    assert words["mineral"]["Manvenve"].suggested == "manganese"
    assert words["stated_region"]["Kesou"].suggested == "Kessou"
    known = {each.name: {word.text: word.code for word in each.known} for each in page.context["meanings"]}
    assert known["mineral"] == {"Or": "gold"} and known["trade_status"] == {"Vert": "qualified"}


def test_doubts_are_counted_and_drawn_before_anything_is_stored(page):
    trial = page.context["preview"].trial
    expected = {"lattice": 4, "outside_country": 2, "axes_swapped": 1, "region_unknown": 1}
    assert expected.items() <= trial.flags.items()
    assert trial.n_january_first == 1
    assert page.context["map_data"]["features"]["n"] == 4
    assert page.context["map_data"]["bounds"] == [-10.5, -10.4, 40.1, 20.2]
    assert not Edition.objects.exists()
    assert "1 January" in page.content.decode()


def test_answers_are_kept_and_offered_with_the_next_edition(page, client_of, admin, project):
    client, address = client_of(admin), page.request["PATH_INFO"]
    codes = {"Manvenve": "manganese", "Permis XYZ": "licensed", "Kesou": "Kessou"}
    checked = client.post(address, answers(page, **codes) | {"action": "check"})
    assert Register.objects.get().value_mapping == {
        "mineral": {"Manvenve": "manganese"},
        "legal_status": {"Permis XYZ": "licensed"},
        "stated_region": {"Kesou": "Kessou"},
    }
    assert asked(checked)["mineral"]["Manvenve"].is_own
    assert "region_unknown" not in checked.context["preview"].trial.flags
    client.post(address, answers(checked, **codes) | {"action": "import"})
    assert run_last_job().state == "done"
    read = Observation.objects.get(name="Bray")
    assert (read.minerals, read.minerals_original) == (["manganese"], ["Manvenve"])
    assert (read.legal_status, read.legal_status_code, read.stated_region) == ("Permis XYZ", "licensed", "Kesou")
    again = client.get(send(client, project, LIST, register="mine-list", name="").url)
    assert asked(again)["mineral"]["Manvenve"].code == "manganese"


def test_an_answer_can_be_taken_back(page, client_of, admin):
    client, address = client_of(admin), page.request["PATH_INFO"]
    client.post(address, answers(page, Manvenve="manganese") | {"action": "check"})
    client.post(address, answers(page) | {"action": "check"})
    assert Register.objects.get().value_mapping == {}


def test_codes_that_are_none_are_refused(page, client_of, admin):
    answer = client_of(admin).post(
        page.request["PATH_INFO"], answers(page, Manvenve="kryptonite") | {"action": "check"}
    )
    assert "choose one of" in answer.context["problem"]
    assert Register.objects.get().value_mapping == {}


def test_first_rows_are_shown_as_the_file_states_them(page):
    number, cells = page.context["first"][2]
    assert (number, cells[:4]) == (4, ["a3", "Lom", "6.5", "-10.4"])


def test_without_areas_nothing_is_said_of_borders(client_of, admin, project):
    client = client_of(admin)
    page = client.get(send(client, project, LIST).url)
    assert not page.context["preview"].trial.has_areas
    assert not {"outside_country", "axes_swapped", "region_unknown"} & page.context["preview"].trial.flags.keys()
    assert "stated_region" not in asked(page)


@pytest.fixture
def command(tmp_path, project, capsys):
    path = tmp_path / "list.csv"
    path.write_bytes(LIST)

    def run(*arguments: str) -> str:
        call_command("load_register", str(path), "--project", project.slug, "--register", "list", *arguments)
        return capsys.readouterr().out

    return run


def test_dry_run_says_what_is_unknown(command, areas):
    said = command("--dry-run")
    assert "Words of mineral that are not known: Manvenve (1, perhaps manganese)." in said
    assert "--value mineral:WORD=CODE" in said
    assert "Would be flagged axes_swapped: 1 rows." in said
    assert not Register.objects.exists()


def test_command_keeps_what_words_mean(command, areas):
    said = command("--value", "mineral:Manvenve=manganese", "--value", "legal_status:Permis XYZ=licensed")
    assert said.splitlines()[-1].startswith("5 created")
    assert Register.objects.get().value_mapping["legal_status"] == {"Permis XYZ": "licensed"}
    assert Observation.objects.get(name="Bray").minerals == ["manganese"]


def test_dry_run_keeps_no_words(command):
    make_register(make_project())
    command("--dry-run", "--value", "mineral:Manvenve=manganese")
    assert not Register.objects.filter(slug="list").exists()


@pytest.mark.parametrize("value", ["mineral", "mineral:x", "colour:x=gold", "mineral:x=kryptonite", "mineral:=gold"])
def test_wrong_values_are_refused_in_words(value, command):
    with pytest.raises((BadInput, CommandError, SystemExit)):
        command("--value", value)
    assert not Register.objects.filter(value_mapping__has_key="mineral").exists()


def test_words_may_hold_colons_and_equals_signs():
    assert meanings.parse_values(["mineral:a:b=c=gold"]) == [("mineral", "a:b=c", "gold")]


def test_a_word_that_cannot_be_stored_is_refused(project):
    with pytest.raises(BadInput, match="give the word as the register writes it"):
        meanings.keep(make_register(project), [("mineral", "Or\0", "gold")])


@pytest.fixture
def asked_import(project, tmp_path) -> jobs.Job:
    path = tmp_path / "list.csv"
    path.write_text("id,mineral\n1,Zorre\n2,Zorre\n3,Zorre\n")
    register = make_register(project)
    parameters = registers.parameters_of(register, {"source_id": "id", "mineral": "mineral"}, path=path)
    return jobs.ask(project=project, kind=jobs.Job.Kind.LOAD_REGISTER, parameters=parameters)


def answer(job: jobs.Job) -> Register:
    register = Register.objects.get(pk=job.parameters["register"])
    meanings.keep(register, [("mineral", "Zorre", "gold")])
    return register


def test_a_word_answered_while_its_import_runs_counts_at_the_next(asked_import, monkeypatch):
    identify = Staging.identify
    with monkeypatch.context() as answering:
        answering.setattr(Staging, "identify", lambda *args: (answer(asked_import), identify(*args)))
        assert jobs.run(asked_import.pk).state == "done"
    assert Observation.objects.filter(minerals=["other"]).count() == 3
    jobs.run(jobs.retry(asked_import, requested_by=None).pk)
    assert Observation.objects.filter(minerals=["gold"]).count() == 3


def test_a_word_answered_between_two_attempts_is_read_alike_in_all_rows(asked_import, monkeypatch):
    copy = Staging.copy

    def killed_after_the_first(staging, lines):
        if staging.n_rows():
            raise KeyboardInterrupt
        copy(staging, lines)

    monkeypatch.setattr(registers, "BATCH_ROWS", 1)
    with monkeypatch.context() as killing, pytest.raises(KeyboardInterrupt):
        killing.setattr(Staging, "copy", killed_after_the_first)
        jobs.run(asked_import.pk)
    answer(asked_import)
    jobs.Job.objects.update(heartbeat_at="2020-01-01T00:00Z")
    assert jobs.run(asked_import.pk).state == "done"
    assert list(Observation.objects.values_list("minerals", flat=True)) == [["gold"]] * 3
