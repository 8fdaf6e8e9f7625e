"""Pages of feature sets and training runs. Every path is opened by labels.views.doors.in_project."""

from django.urls import path

from predictions.views import cards, comparisons, feature_sets, from_elsewhere, maps, retraining, runs, starting

app_name = "predictions"

urlpatterns = [
    path("p/<slug:project>/runs/", runs.runs, name="runs"),
    path("p/<slug:project>/runs/new/", starting.run_new, name="run_new"),
    path("p/<slug:project>/runs/compare/", comparisons.run_compare, name="run_compare"),
    path("p/<slug:project>/runs/rule/", retraining.retraining_rule, name="retraining_rule"),
    path("p/<slug:project>/runs/<int:run>/", runs.run, name="run"),
    path("p/<slug:project>/runs/<int:run>/card/", cards.run_card, name="run_card"),
    path("p/<slug:project>/runs/<int:run>/choose/", runs.run_choose, name="run_choose"),
    path("p/<slug:project>/runs/<int:run>/elsewhere/", from_elsewhere.run_elsewhere, name="run_elsewhere"),
    path(
        "p/<slug:project>/runs/<int:run>/elsewhere/<uuid:judging>/cancel/",
        from_elsewhere.run_elsewhere_cancel,
        name="run_elsewhere_cancel",
    ),
    path("p/<slug:project>/runs/<int:run>/cancel/", runs.run_cancel, name="run_cancel"),
    path("p/<slug:project>/runs/<int:run>/retry/", runs.run_retry, name="run_retry"),
    path("p/<slug:project>/features/", feature_sets.feature_sets, name="feature_sets"),
    path("p/<slug:project>/features/new/", feature_sets.feature_set_new, name="feature_set_new"),
    path("p/<slug:project>/features/import/", feature_sets.feature_set_import, name="feature_set_import"),
    path("p/<slug:project>/features/<slug:feature_set>/", feature_sets.feature_set, name="feature_set"),
    path(
        "p/<slug:project>/features/<slug:feature_set>/cancel/",
        feature_sets.feature_set_cancel,
        name="feature_set_cancel",
    ),
    path(
        "p/<slug:project>/features/<slug:feature_set>/retry/",
        feature_sets.feature_set_retry,
        name="feature_set_retry",
    ),
    path(
        "p/<slug:project>/features/<slug:feature_set>/delete/",
        feature_sets.feature_set_delete,
        name="feature_set_delete",
    ),
    # the map of a run
    path("p/<slug:project>/runs/<int:run>/tiles/<int:z>/<int:x>/<int:y>", maps.run_tile, name="run_tile"),
    path(
        "p/<slug:project>/runs/<int:run>/since/<int:other>/tiles/<int:z>/<int:x>/<int:y>",
        maps.run_difference_tile,
        name="run_difference_tile",
    ),
    path("p/<slug:project>/runs/<int:run>/map/<slug:form>/", maps.run_map_file, name="run_map_file"),
]
