"""What a person reads when a page cannot be shown. Constant words: they never say what exists."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import Context, loader


def not_found(request: HttpRequest, exception=None) -> HttpResponse:
    return render(request, "404.html", status=404)


def forbidden(request: HttpRequest, exception=None) -> HttpResponse:
    return render(request, "403.html", status=403)


def broken(request: HttpRequest) -> HttpResponse:
    """Rendered without context processors: whatever broke must not break this page too."""
    return HttpResponse(loader.get_template("500.html").template.render(Context({})), status=500)
