from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.i18n import set_language

from labels.api import api

urlpatterns = [
    path("", include("labels.urls")),
    path("", include("labels.urls_accounts")),
    path("", include("predictions.urls")),
    path("api/", api.urls),
    path("language/", login_not_required(set_language), name="set_language"),
    path("admin/", admin.site.urls),
]

handler403 = "labels.views.errors.forbidden"
handler404 = "labels.views.errors.not_found"
handler500 = "labels.views.errors.broken"
