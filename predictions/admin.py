"""Django's admin, for those who run the system: what is made by jobs is shown and never changed."""

from django.contrib import admin

from labels.admin import LookOnly
from predictions import models


@admin.register(models.FeatureSet)
class FeatureSetAdmin(LookOnly):
    list_display = ["name", "project", "kind", "source", "image_date", "n_cells", "n_columns", "asked_at"]
    list_filter = ["project", "kind"]
    list_select_related = ["project", "source"]
    search_fields = ["name", "slug", "content_sha256"]


@admin.register(models.FeatureChunk)
class FeatureChunkAdmin(LookOnly):
    list_display = ["feature_set", "number", "n_cells", "token", "leased_until", "sha256", "cpu_s"]
    list_filter = ["feature_set"]
    list_select_related = ["feature_set"]


@admin.register(models.TrainingRun)
class TrainingRunAdmin(LookOnly):
    list_display = [
        "project",
        "number",
        "feature_set",
        "release",
        "is_by_rule",
        "is_current",
        "asked_at",
        "finished_at",
    ]
    list_filter = ["project", "is_current"]
    list_select_related = ["project", "feature_set", "release__project"]
    # Figures are shown on the run's page.
    exclude = ["figures"]

    def get_exclude(self, request, obj=None):
        return [*super().get_exclude(request, obj), *self.exclude]


@admin.register(models.AreaTotal)
class AreaTotalAdmin(LookOnly):
    list_display = ["run", "area", "n_cells", "n_searched", "share", "low", "high", "reason"]
    list_select_related = ["run", "area"]


@admin.register(models.RetrainingRule)
class RetrainingRuleAdmin(LookOnly):
    list_display = ["project", "feature_set", "every_n_labels", "is_on", "stopped_because", "set_by", "set_at"]
    list_select_related = ["project", "feature_set", "set_by"]
