"""Addresses of the product's pages, grouped by subject."""

from django.urls import path

from labels.views import imagery

app_name = "labels"

urlpatterns = [
    # imagery
    path("imagery/<uuid:source>/<int:z>/<int:x>/<int:y>", imagery.tile, name="tile"),
    path("p/<slug:project>/imagery/", imagery.imagery, name="imagery"),
    path("p/<slug:project>/imagery/new/", imagery.new_imagery, name="new_imagery"),
]
