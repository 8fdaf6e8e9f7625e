"""Puts the demonstration country into a project, through the same doors as any other data.

What people need to look around (areas, registers, audits) is made at once; the imagery and the work of the fictional
annotators come as queued jobs. Every step looks for what it would make and leaves it alone when it is there, so that
loading twice changes nothing and an interrupted load goes on where it stopped. No page reads the truth.
"""

import io
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import transaction
from django.utils.text import slugify

from labels import workflow
from labels.demonstration import answers, loading_imagery, loading_work, registers
from labels.demonstration.landforms import landforms
from labels.demonstration.recipe import LOOKS, RECIPES, Recipe
from labels.demonstration.terrain import feature_collection
from labels.errors import BadInput
from labels.models import Job, Membership, Project
from labels.models.projects import Role

PROJECT = {
    "slug": "wandara",
    "name": "Wandara",
    "country": "WDR",
    "time_zone": "Africa/Abidjan",
    "languages": ["en", "fr"],
}
PEOPLE = {
    "annotator1": ("Amina", Role.ANNOTATOR),
    "annotator2": ("Baptiste", Role.ANNOTATOR),
    "annotator3": ("Domingas", Role.ANNOTATOR),
    "adjudicator": ("Celeste", Role.ADJUDICATOR),
    "lead": ("Mina", Role.LEAD),
    "admin": ("Otto", Role.ADMIN),
}
FILES = {"cadastre": "cadastre.geojson", "survey": "survey.csv"}
REGISTERS = {
    "cadastre": {"slug": "cadastre", "name": "Cadastre artisanal 2023", "publisher": "Service des mines, Wandara"},
    "survey": {"slug": "survey", "name": "Field survey of mining sites", "publisher": "Wandara Mining Observatory"},
}
COLUMNS = {
    "cadastre": {
        "source_id": "code_site",
        "name": "nom",
        "observed_on": "date_visite",
        "date_precision": "precision_date",
        "kind": "type_visite",
        "location_method": "origine_localisation",
        "stated_region": "province",
        "mineral": "substance_1",
        "mineral_2": "substance_2",
        "legal_status": "statut_legal",
        "trade_status": "statut_commercial",
    },
    "survey": {
        "source_id": "site_id",
        "name": "site_name",
        "longitude": "lon",
        "latitude": "lat",
        "observed_on": "visit_date",
        "date_precision": "date_precision",
        "kind": "visit_kind",
        "location_method": "location_method",
        "stated_region": "province",
        "mineral": "mineral",
        "legal_status": "legal_status",
        "trade_status": "trade_status",
    },
}
# The survey is judged to its end; of the cadastre most is open.
AUDITS = {"survey": "Audit 1", "cadastre": "Audit 2"}

Say = Callable[[str], None]


def load(say: Say, *, recipe: Recipe = RECIPES["wandara"], files: Path) -> Project:
    """Make whatever of the demonstration is missing, the files its registers come in included, and ask for the rest."""
    project, _ = Project.objects.get_or_create(slug=PROJECT["slug"], defaults=PROJECT)
    _refuse_another_recipe(project, recipe)
    add_people(project, say)
    if not _has_audits(project):
        write_files(recipe, files, say)
        add_areas(project, recipe, files, say)
        for name in REGISTERS:
            add_register(project, name, files, say)
        add_cell_search(project, recipe, say)
        for name in AUDITS:  # the newest is shown first
            add_audit(project, name, recipe, say)
    ask_for_the_rest(project, recipe, say)
    return project


def _refuse_another_recipe(project: Project, recipe: Recipe) -> None:
    others = project.jobs.filter(kind=Job.Kind.DRAW_SCENES).exclude(parameters__recipe=recipe.name)
    if other := others.first():
        raise BadInput(
            f"The project {project.slug} holds the demonstration {other.parameters['recipe']!r}; load"
            f" {recipe.name!r} into a database of its own."
        )


def _has_audits(project: Project) -> bool:
    """Whether the last step at once was done: drawing the country only to find that costs ten seconds."""
    return project.audits.filter(slug=loading_work.AUDITED["cadastre"]).exists()


def _quietly(command: str, *arguments, **options) -> None:
    """Run one of our commands without its own report: the demonstration says a line of its own."""
    call_command(command, *arguments, stdout=io.StringIO(), stderr=io.StringIO(), **options)


def add_people(project: Project, say: Say) -> None:
    """The logins of ASM_DEMO_LOGINS (a JSON file with `logins`); without it, random passwords nobody knows."""
    logins = _logins()
    users = get_user_model()
    for username, (first_name, role) in PEOPLE.items():
        user, is_new = users.objects.get_or_create(username=username, defaults={"first_name": first_name})
        _set_password(user, logins.get(username), is_new)
        Membership.objects.get_or_create(project=project, user=user, defaults={"role": role})
        if is_new:
            say(f"{username} joined as {role}")
    superuser, is_new = users.objects.get_or_create(
        username="superuser", defaults={"is_staff": True, "is_superuser": True}
    )
    _set_password(superuser, logins.get("superuser"), is_new)


def _logins() -> dict[str, str]:
    path = os.environ.get("ASM_DEMO_LOGINS")
    return json.loads(Path(path).read_text()).get("logins", {}) if path else {}


def _set_password(user, password: str | None, is_new: bool) -> None:
    if password and not user.check_password(password):
        user.set_password(password)
        user.save(update_fields=["password"])
    elif is_new and not password:
        user.set_password(secrets.token_urlsafe(24))
        user.save(update_fields=["password"])


def write_files(recipe: Recipe, folder: Path, say: Say) -> None:
    """The files a ministry would send, loaded here and good for trying the import; and the truth behind them.

    `truth.json` is for people who check the product; nothing in the product reads it.
    """
    say("drawing the country and its registers")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    drawn = recipe.registers
    (folder / FILES["cadastre"]).write_bytes(registers.geojson_bytes(drawn["cadastre"]))
    (folder / FILES["survey"]).write_bytes(registers.csv_bytes(registers.register_rows(drawn["survey"])))
    (folder / "production.csv").write_bytes(registers.csv_bytes(answers.production_rows(recipe.country)))
    for name, _, _, areas in _layers(recipe):
        (folder / _area_file(name)).write_text(json.dumps(feature_collection(areas)))
    truth = folder / "truth.json"
    truth.touch(mode=0o600)
    truth.write_text(json.dumps(truth_of(recipe), indent=1, ensure_ascii=False))


def truth_of(recipe: Recipe) -> dict:
    """What is really there, and how often each register errs: as asked for and as drawn."""
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "registers": {
            name: {
                "asked": asdict(registers.RATES[name]),
                "drawn": registers.drawn_rates(register),
                "sites": registers.truth_rows(register),
            }
            for name, register in recipe.registers.items()
        },
        "cells": answers.cell_rows(recipe.country, *LOOKS),
    }


def _layers(recipe: Recipe) -> list[tuple]:
    """Name, kind, level and areas of each reference layer."""
    country = recipe.country
    return [
        ("Provinces", "admin", 1, country.provinces),
        ("Districts", "admin", 2, country.districts),
        ("Industrial mines", "commercial", 1, country.commercial_areas),
        ("Protected areas", "protected", 1, country.protected_areas),
        ("Permits", "permit", 1, country.permit_areas),
        ("Terrain", "terrain", 1, landforms(country)),
    ]


def _area_file(name: str) -> str:
    return f"{name.lower().replace(' ', '-')}.geojson"


def add_areas(project: Project, recipe: Recipe, files: Path, say: Say) -> None:
    for name, kind, level, areas in _layers(recipe):
        if not areas or project.reference_layers.filter(name=name, retired_at=None).exists():
            continue
        _quietly(
            "load_areas", files / _area_file(name),
            project=project.slug, kind=kind, level=level, layer=name, name_field="name",
        )  # fmt: skip
        say(f"{name}: {len(areas)}")


def add_register(project: Project, name: str, files: Path, say: Say) -> None:
    slug, told = REGISTERS[name]["slug"], {key: REGISTERS[name][key] for key in ("name", "publisher")}
    if project.registers.filter(slug=slug, editions__completed_at__isnull=False).exists():
        return
    mapping = [f"{field}={column}" for field, column in COLUMNS[name].items()]
    _quietly("load_register", files / FILES[name], project=project.slug, register=slug, map=mapping, **told)
    n_records = project.registers.get(slug=slug).site_records.count()
    say(f"{told['name']}: {n_records} records")


def add_audit(project: Project, name: str, recipe: Recipe, say: Say) -> None:
    slug = slugify(AUDITS[name])
    if project.audits.filter(slug=slug).exists():
        return
    audit = workflow.open_census(
        project=project,
        register=project.registers.get(slug=REGISTERS[name]["slug"]),
        slug=slug,
        name=AUDITS[name],
        opened_by=_person("lead"),
        seed=recipe.seed,
        reviews_per_unit=2,
    )
    say(f"{audit.name}: {audit.units.count()} units")


def add_cell_search(project: Project, recipe: Recipe, say: Say) -> None:
    if project.audits.filter(slug=loading_work.CELL_SEARCH["slug"]).exists():
        return
    audit = workflow.open_cell_search(
        project=project,
        **loading_work.CELL_SEARCH,
        n=recipe.n_cells,
        seed=recipe.seed,
        opened_by=_person("lead"),
        reviews_per_unit=2,
    )
    say(f"{audit.name}: {audit.units.count()} grid cells")


def _person(username: str):
    return get_user_model().objects.get(username=username)


# ---- what comes as jobs ----


@transaction.atomic
def ask_for_the_rest(project: Project, recipe: Recipe, say: Say) -> None:
    """A job for each part of the imagery that no living job brings; the reviews follow the last of them."""
    loading_work.one_at_a_time(project)
    n_asked = 0
    for parameters in loading_imagery.all_parameters(recipe):
        if not _is_asked(project, Job.Kind.DRAW_SCENES, parameters):
            loading_imagery.ask(project, parameters, requested_by=_person("admin"))
            n_asked += 1
    if n_asked:
        say(f"{n_asked} jobs bring the imagery, then the reviews: see the project's jobs")
    elif not _is_asked(project, Job.Kind.JUDGE_DEMONSTRATION, {"recipe": recipe.name}):
        loading_work.ask_once_imagery_is_there(project, recipe)


def _is_asked(project: Project, kind: str, parameters: dict) -> bool:
    """Whether such a job is done, under way or waiting."""
    gone = (Job.State.FAILED, Job.State.CANCELLED)
    return project.jobs.filter(kind=kind, parameters=parameters).exclude(state__in=gone).exists()


def first_pictures(project: Project) -> list[Job]:
    """The jobs after which every place of the country shows a picture of two dates."""
    coarsest = next(iter(RECIPES["wandara"].parts))
    return list(project.jobs.filter(kind=Job.Kind.DRAW_SCENES, parameters__source=coarsest))
