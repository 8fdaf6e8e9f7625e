"""Signing in and out, and joining a project by a one-time link."""

from django.contrib.auth import views as auth_views
from django.urls import path

from labels.views import people, tiles

urlpatterns = [
    path("login/", auth_views.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", tiles.SignOut.as_view(), name="logout"),
    path(
        "password/",
        auth_views.PasswordChangeView.as_view(success_url="/"),
        name="password_change",
    ),
    path("join/<str:token>/", people.join, name="join"),
]
