"""Where a model judged here comes from, as far as one person may know.

A run's figures keep only ids of the run that was judged: leads of this project need not be members of the other. Its
name, number and prevalence are for those who may look at runs there, asked anew for each page.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from django.utils.translation import gettext as _

from labels import access
from labels.models import Project
from predictions.elsewhere import prevalence_of
from predictions.models import TrainingRun
from predictions.run_files import MODEL

ELSEWHERE = "elsewhere"  # the key of their rungs


@dataclass(frozen=True)
class Origin:
    project: str = ""  # its name; empty for who may not know
    number: int | None = None
    run: TrainingRun | None = None  # None for who may not know, and once it is deleted
    is_deleted: bool = False
    is_without_files: bool = False

    @property
    def words(self) -> str:
        """Where it comes from, to stand in a sentence."""
        if not self.project:
            return _("another project")
        return _("%(project)s, run %(run)s") % {"project": self.project, "run": self.number}

    @property
    def fate(self) -> str:
        """What became of it since; empty while it is all there."""
        if self.is_deleted:
            return _("that run has been deleted since")
        return _("the files of that run are gone") if self.is_without_files else ""

    @cached_property
    def prevalence(self) -> float | None:
        """Share of cells with mines there, by its own probability sample; None for who may not know."""
        return prevalence_of(self.run) if self.run else None


UNKNOWN = Origin()
Origins = Mapping[str, Origin]  # by the run's uuid


def origin_of(run: TrainingRun) -> dict:
    """What figures and jobs keep of the run: ids, nothing that says which country it is."""
    return {"run": str(run.uuid), "project": run.project_id, "number": run.number}


def origins(user, kept: Iterable[Mapping]) -> Origins:
    """For this person; `kept` are origins as `origin_of` made them. Two questions to the database at most."""
    kept = {each["run"]: each for each in kept}
    if not kept:
        return {}
    known = TrainingRun.objects.filter(uuid__in=kept).select_related("project")
    runs = {str(run.uuid): run for run in access.with_role(known, user)}
    deleted = {each["project"] for uuid, each in kept.items() if uuid not in runs}
    projects = {each.pk: each for each in Project.objects.filter(pk__in=deleted)} if deleted else {}
    return {uuid: _origin(user, each, runs.get(uuid), projects) for uuid, each in kept.items()}


def _origin(user, kept: Mapping, run: TrainingRun | None, projects: Mapping[int, Project]) -> Origin:
    if run is None:
        project = projects.get(kept["project"])
        may_know = project is not None and access.can(user, "view_run", project)
        told = {"project": project.name, "number": kept["number"]} if may_know else {}
        return Origin(**told, is_deleted=True)
    is_without_files = not (run.folder / MODEL).is_file()
    if not access.role_may(run.role, "view_run"):
        return Origin(is_without_files=is_without_files)
    return Origin(run.project.name, run.number, run, is_without_files=is_without_files)


def origin_on(rung: Mapping, known: Origins) -> Origin:
    """Of one rung; of one that says nothing it is another project."""
    return known.get(rung.get("origin", {}).get("run", ""), UNKNOWN)


def origins_on(user, *runs: TrainingRun) -> Origins:
    """Of all models from elsewhere on the ladders of these runs."""
    rungs = (rung for run in runs for rung in run.figures.get("ladder", []) if rung["key"] == ELSEWHERE)
    return origins(user, (rung["origin"] for rung in rungs if "origin" in rung))
