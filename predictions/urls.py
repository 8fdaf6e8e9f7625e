"""Pages of feature sets and training runs. Every path is opened by labels.views.doors.in_project."""

from django.urls import path

from predictions.views import maps

app_name = "predictions"

urlpatterns = [
    # the map of a run
    path("p/<slug:project>/runs/<int:run>/tiles/<int:z>/<int:x>/<int:y>", maps.run_tile, name="run_tile"),
    path(
        "p/<slug:project>/runs/<int:run>/since/<int:other>/tiles/<int:z>/<int:x>/<int:y>",
        maps.run_difference_tile,
        name="run_difference_tile",
    ),
    path("p/<slug:project>/runs/<int:run>/map/<slug:form>/", maps.run_map_file, name="run_map_file"),
]
