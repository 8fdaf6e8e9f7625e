"""The runs of a project as the list shows them: of each run's figures only what its row says is fetched."""

from dataclasses import dataclass

from django.core.paginator import Page, Paginator
from django.db.models import Func, JSONField
from django.db.models.fields.json import KT, KeyTransform

from labels.models import Project
from predictions.models import TrainingRun
from predictions.run_report import Rung, best_of

N_LISTED = 50


class _Headlines(Func):
    """A ladder's rungs, each with its average precision and without all its other figures."""

    template = (
        "(SELECT jsonb_agg(jsonb_set(rung - 'baselines' - 'any_mining', '{metrics}',"
        " jsonb_build_object('ap', rung #> '{metrics,ap}'))) FROM jsonb_array_elements(%(expressions)s) AS rung)"
    )
    output_field = JSONField()


@dataclass(frozen=True)
class ListedRun:
    run: TrainingRun  # its figures deferred
    quoted: Rung | None
    n_labelled: int | None

    @property
    def is_under_way(self) -> bool:
        return self.run.job is not None and not self.run.job.is_over


def page_of(project: Project, number: str | int | None) -> Page:
    """A page of ListedRuns, the newest first; the nearest page where there is none of that number. Two queries."""
    runs = (
        project.training_runs.select_related("feature_set", "area", "release", "job", "made_by")
        .defer("figures", "options", "feature_set__options", "area__geometry", "release__data_card")
        .annotate(
            ladder=_Headlines(KeyTransform("ladder", "figures")),
            blocks=KeyTransform("blocks", "figures"),
            n_labelled=KT("figures__n_labelled"),
        )
    )
    page = Paginator(runs, N_LISTED).get_page(number)
    page.object_list = [_listed(run) for run in page.object_list]
    return page


def _listed(run: TrainingRun) -> ListedRun:
    quoted = best_of(run.ladder or [], run.blocks or {}) if run.is_done else None
    return ListedRun(run, quoted, int(run.n_labelled) if run.n_labelled else None)
