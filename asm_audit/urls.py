from django.contrib import admin
from django.urls import include, path

from labels.api import api

urlpatterns = [
    path("", include("labels.urls")),
    path("", include("labels.urls_accounts")),
    path("api/", api.urls),
    path("language/", include("django.conf.urls.i18n")),
    path("admin/", admin.site.urls),
]

handler403 = "labels.views.errors.forbidden"
handler404 = "labels.views.errors.not_found"
handler500 = "labels.views.errors.broken"
