"""Every page needs a login; programs are told so in JSON instead of being sent to a form."""

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse, JsonResponse


class LoginRequired(LoginRequiredMiddleware):
    def handle_no_permission(self, request: HttpRequest, view_func) -> HttpResponse:
        if request.path.startswith(("/api/", "/imagery/")):
            return JsonResponse({"detail": "Sign in first.", "code": "signed_out"}, status=401)
        return super().handle_no_permission(request, view_func)
