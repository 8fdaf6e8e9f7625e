"""Making the features of a set: its cells in chunks, computed by any number of workers, put together by the job.

`plan.npz` says which cells and pictures, `filters.npz` holds the filter bank; a file for each chunk follows
(predictions.chunks), and `features.npz` is put together from them. All of it is a function of pictures and options, so
whatever is killed is done again to the same bytes.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from itertools import tee
from time import monotonic, sleep

import numpy as np
from django.db import transaction
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from numpy.typing import NDArray

from labels import geo, jobs
from labels.errors import BadInput, NotAllowed
from labels.imagery import rights
from labels.imagery.chips import Chip, read_chips
from labels.imagery.rights import Lack, Use
from labels.models import ImagerySource, Job, Project, ReferenceArea
from labels.models.areas import AreaKind
from predictions import chunks, feature_jobs, features_compiled, storage
from predictions.chunks import Plan
from predictions.features import RandomConvolutionalFeatures
from predictions.importing import ask_import, free_slug, save_named  # noqa: F401  the other way to a feature set
from predictions.models import FeatureChunk, FeatureSet
from predictions.storage import FileDamaged

DEFAULT_OPTIONS = {"n_filters": 1024, "patch_px": 3, "scales": [1, 2], "bias": 0.0, "halves": "positive", "seed": 0}
# Cells whose chips the filter bank is drawn from: patches of a few pictures would be a bank of those few places.
FIT_CELLS = 1000
WAIT_S = 0.5


# ---- asking ----


def ask(
    project: Project,
    *,
    source: ImagerySource,
    day: date | str | None = None,
    area: ReferenceArea | None = None,
    options: dict | None = None,
    filters_of: FeatureSet | None = None,
    name: str = "",
    by=None,
) -> FeatureSet:
    """A feature set and the job that makes it.

    Parameters
    ----------
    source, day : ImagerySource; date, its ISO text, "unknown" or None
        The pictures; None: the newest of each place.
    area : ReferenceArea or None
        Whose grid cells; None: of all current top-level admin areas.
    options : dict or None
        Of RandomConvolutionalFeatures, over DEFAULT_OPTIONS; and `purpose`, for sources limited to one.
    filters_of : FeatureSet or None
        One whose filters are used instead of fitting new ones, so that a model learned on it can score this one.
    by : user or None
        Who asks; None: a command.

    Raises
    ------
    BadInput
        If an option is wrong, the area or source is of another project, or holds no cell.
    NotAllowed
        If the source's rights do not let models be trained on it.
    """
    feature_set = prepared(
        project, source=source, day=day, area=area, options=options, filters_of=filters_of, name=name, by=by
    )
    with transaction.atomic():
        save_named(feature_set)
        feature_set.job = jobs.ask(
            project=project,
            kind=Job.Kind.FEATURIZE,
            subject=feature_set.name,
            requested_by=by,
            parameters=parameters_of(feature_set),
        )
        feature_set.save(update_fields=["job"])
    return feature_set


def unfinished(wanted: FeatureSet) -> FeatureSet | None:
    """A set begun before with just what is wanted now: to be gone on with."""
    same = {name: getattr(wanted, name) for name in ("project", "source", "image_date", "area", "options")}
    begun = FeatureSet.objects.filter(**same, kind=FeatureSet.Kind.COMPUTED, content_sha256="")
    return begun.select_related("project", "source__project", "job").order_by("-pk").first()


def prepared(
    project: Project, *, source, day=None, area=None, options=None, filters_of=None, name="", by=None
) -> FeatureSet:
    """The row of a feature set, checked, not saved; arguments and errors as for `ask`."""
    if source.project_id != project.pk:
        raise BadInput(_("The imagery source %(name)s is of another project.") % {"name": source.name})
    if area is not None and area.layer.project_id != project.pk:
        raise BadInput(_("The area %(name)s is of another project.") % {"name": area.name})
    wanted = DEFAULT_OPTIONS | (options or {})
    if filters_of is not None:
        wanted |= _same_filters(filters_of)
    check_rights(source, wanted.get("purpose", ""))
    bank(wanted)
    image_date = _image_date(day)
    if not len(cells_in(project, area)):
        raise BadInput(_("The area holds no grid cell."))
    name = (name or _default_name(source, image_date, area))[:120]
    return FeatureSet(
        project=project,
        slug=free_slug(project, name),
        name=name,
        source=source,
        image_date=image_date,
        area=area,
        options=wanted,
        made_by=by,
    )


def _same_filters(of: FeatureSet) -> dict:
    if of.kind != FeatureSet.Kind.COMPUTED or not of.is_ready:
        raise BadInput(_("The features %(name)s have no filters to take over, or are not ready.") % {"name": of.name})
    return {name: value for name, value in of.options.items() if name != "purpose"} | {"filters_of": str(of.uuid)}


def parameters_of(feature_set: FeatureSet) -> dict:
    return {"feature_set": str(feature_set.uuid)}


def _image_date(day: date | str | None) -> str:
    if day in (None, "", "unknown"):
        return day or ""
    try:
        return (day if isinstance(day, date) else date.fromisoformat(day)).isoformat()
    except ValueError:
        raise BadInput(_("%(day)s is no date; write it as 2021-06-30.") % {"day": repr(day)}) from None


def _default_name(source: ImagerySource, image_date: str, area: ReferenceArea | None) -> str:
    if image_date and image_date != "unknown":
        image_date = date_format(date.fromisoformat(image_date), "DATE_FORMAT")
    return ", ".join(part for part in (source.name, image_date, area.name if area else "") if part)


def check_rights(source: ImagerySource, purpose: str = "") -> None:
    """Features are looked at by a model alone, and what it learns stays: both need their right."""
    lack = rights.lacking(source, Use.TRAIN, purpose=purpose) or rights.lacking(source, Use.VIEW, purpose=purpose)
    if lack is None:
        return
    said = {
        Lack.OTHER_PURPOSE: _("The imagery source %(name)s may be used to train models only for: %(purpose)s."),
        Lack.EXPIRED: _("The rights of the imagery source %(name)s have expired."),
        Lack.LOCAL_ONLY: _("The project uses local imagery only: the provider %(name)s is not asked."),
    }
    no_right = _("The rights of the imagery source %(name)s do not let models be trained on it.")
    raise NotAllowed(said.get(lack, no_right) % {"name": source.name, "purpose": source.purpose})


def bank(options: dict) -> RandomConvolutionalFeatures:
    """The features these options ask for, not fitted; BadInput says which option is wrong."""
    known = {name: value for name, value in options.items() if name not in ("purpose", "filters_of")}
    try:
        asked = RandomConvolutionalFeatures(**known)
        asked._check_parameters()
    except (TypeError, ValueError) as error:
        raise BadInput(_("These options make no features: %(why)s.") % {"why": str(error).rstrip(".")}) from error
    if asked.backend == "auto":  # one set is computed in one way: the ways agree to 1e-5, not to the last bit
        asked.set_params(backend="numba" if features_compiled.is_available() else "numpy")
    return asked


def cells_in(project: Project, area: ReferenceArea | None) -> NDArray[np.int32]:
    """The grid cells, (n, 2), whose centre lies in the area (all current top-level ones), in a set's order."""
    areas = [area] if area is not None else top_level_areas(project)
    centres = geo.cell_centres_in_areas(rings_of(each) for each in areas)
    cells = storage.cells_of(*centres.T)
    return cells[storage.sorted_cells(cells)]


def top_level_areas(project: Project) -> list[ReferenceArea]:
    found = ReferenceArea.objects.filter(
        layer__project=project, layer__kind=AreaKind.ADMIN, layer__level=1, layer__retired_at__isnull=True
    )
    areas = list(found.only("name", "geometry").order_by("name", "pk"))
    if not areas:
        raise BadInput(_("This project has no admin areas of level 1: load its provinces first."))
    return areas


def rings_of(area: ReferenceArea) -> list[NDArray[np.float64]]:
    return [np.array(ring) for polygon in area.geometry.coords for ring in polygon]


# ---- the job ----


@jobs.work(Job.Kind.FEATURIZE)
def make(running: jobs.RunningJob) -> dict:
    """Plan, work on chunks beside whoever helps, put together. Parameters: `feature_set`, its uuid."""
    feature_set = feature_jobs.set_of(running)
    if not feature_set.is_ready:
        check_rights(feature_set.source, feature_set.options.get("purpose", ""))
        plan = _plan(running, feature_set)
        _work(running, feature_set, plan)
        _assemble(running, feature_set, plan)
    chunks.discard_files(feature_set)
    feature_jobs.clear_left()
    return {"feature_set": feature_set.slug, "n_cells": feature_set.n_cells, "sentence": _said(feature_set)}


def _said(feature_set: FeatureSet) -> str:
    n = feature_set.n_cells
    said = ngettext("Features of %(n)d grid cell are ready.", "Features of %(n)d grid cells are ready.", n) % {"n": n}
    if feature_set.n_without_imagery:
        without = ngettext("%(n)d has no imagery.", "%(n)d have no imagery.", feature_set.n_without_imagery)
        said += " " + without % {"n": feature_set.n_without_imagery}
    return said


def _plan(running: jobs.RunningJob, feature_set: FeatureSet) -> Plan:
    """Which cells, which pictures, which filters; made once, however often the job is taken up again."""
    if feature_set.chunks.exists():
        with suppress(FileDamaged):
            return chunks.read_plan(feature_set)
        _forget(feature_set)
    running.begin(_("listing grid cells"))
    cells = cells_in(feature_set.project, feature_set.area)
    imagery = chunks.imagery_of(feature_set)
    fitted = _fitted(running, feature_set, cells)
    plan = Plan(cells=cells, bank=fitted, imagery=imagery, per_chunk=chunks.cells_per_chunk(fitted))
    if not feature_set.chunks.exists():
        chunks.write_plan(feature_set, plan)
        with transaction.atomic():
            running.still_mine()
            FeatureChunk.objects.bulk_create(
                FeatureChunk(feature_set=feature_set, number=number, n_cells=len(part))
                for number, part in enumerate(plan.parts())
            )
            feature_set.n_cells, feature_set.filters_sha256 = len(cells), fitted.filters_sha256
            feature_set.save(update_fields=["n_cells", "filters_sha256"])
    return plan


def _forget(feature_set: FeatureSet) -> None:
    """A lost plan takes its chunks along: they are of a bank that is drawn again."""
    feature_set.chunks.all().delete()
    chunks.discard_files(feature_set)


def _fitted(running: jobs.RunningJob, feature_set: FeatureSet, cells: NDArray[np.int32]) -> RandomConvolutionalFeatures:
    """The filter bank, from chips of cells in a seeded order until enough of them have imagery."""
    options = feature_set.options
    if "filters_of" in options:
        return _taken_over(options["filters_of"])
    order = np.random.default_rng(options.get("seed", 0)).permutation(len(cells))
    n_wanted = min(FIT_CELLS, len(cells))
    running.begin(_("reading pictures for the filters"), n_total=n_wanted)
    chips, known = tee(_with_imagery(running, feature_set, storage.cell_names(cells[order]), n_wanted))
    try:
        return bank(options).fit((chip.pixels for chip in chips), map(chunks.known_pixels, known))
    except ValueError as error:
        raise BadInput(_("No filters can be drawn: %(why)s.") % {"why": str(error).rstrip(".")}) from error


def _taken_over(uuid: str) -> RandomConvolutionalFeatures:
    of = FeatureSet.objects.filter(uuid=uuid).first()
    if of is None:
        raise BadInput(_("The feature set whose filters were to be taken over is gone."))
    return chunks.read_plan(of).bank


def _with_imagery(running: jobs.RunningJob, feature_set: FeatureSet, names: list[str], n_wanted: int) -> Iterator[Chip]:
    """The first so many chips of which most is known."""
    n_found = 0
    for _name, chip in read_chips(feature_set.source, names, **chunks.pictures(feature_set)):
        if chip.share_missing <= storage.MOST_MISSING:
            n_found += 1
            yield chip
        running.progress(n_found)
        if n_found >= n_wanted:
            return
    if not n_found:
        raise BadInput(_("The imagery source covers no grid cell of the area: choose another source, date or area."))


def _work(running: jobs.RunningJob, feature_set: FeatureSet, plan: Plan) -> None:
    """Until every chunk is there: take one, compute it; where all are taken, wait for the others."""
    n_before = chunks.n_cells_done(feature_set)
    stage = _("computing features")
    if n_before:
        stage = _("computing features (of %(n)d cells they were there already)") % {"n": n_before}
    running.begin(stage, n_total=len(plan.cells) - n_before)
    chunks.call_helpers(feature_set, running.token)

    counted_at = 0.0

    def report(n_more: int = 0) -> None:
        nonlocal counted_at
        if monotonic() - counted_at > running.report_every_s:
            counted_at = monotonic()
            running.progress(chunks.n_cells_done(feature_set) - n_before + n_more)

    while chunks.n_left(feature_set):
        chunks.check_imagery(feature_set, plan)
        if (chunk := chunks.take(feature_set)) is None:
            report()
            sleep(WAIT_S)
            continue
        chunks.compute(chunk, feature_set, plan, report)
    running.progress(len(plan.cells) - n_before)


def _assemble(running: jobs.RunningJob, feature_set: FeatureSet, plan: Plan) -> None:
    """Check every chunk's file, do again what was lost, then write them one after another into one."""
    while True:
        running.begin(_("checking files"), n_total=feature_set.chunks.count())
        n_lost = 0
        for chunk in running.counted(feature_set.chunks.order_by("number")):
            n_lost += not chunks.is_whole(chunk, feature_set)
        if not n_lost:
            break
        _work(running, feature_set, plan)
    running.begin(_("putting features together"), n_total=len(plan.cells))
    sha256, n_without = chunks.write_together(feature_set, plan, running.progress)
    with transaction.atomic():
        running.still_mine()
        feature_set.content_sha256, feature_set.n_without_imagery = sha256, n_without
        feature_set.n_columns = plan.bank.n_columns
        feature_set.save(update_fields=["content_sha256", "n_without_imagery", "n_columns"])
