"""A provider's tile as the browser gets it: from our own origin, with nothing of the provider's headers."""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response, patch_vary_headers

from labels import access
from labels.imagery import providers, rights
from labels.models import ImagerySource, ProviderDate

KEEP_S = 24 * 3600


def tile(request: HttpRequest, source: UUID, z: int, x: int, y: int) -> HttpResponse:
    """The tile that `image` names. A provider that cannot be asked now answers 503, with when to try again."""
    try:
        image = UUID(request.GET.get("image", ""))
    except ValueError:
        raise Http404 from None
    found = access.with_role(ImagerySource.objects.filter(rights.viewable(), uuid=source), request.user).first()
    if found is None or not access.role_may(found.role, "view_tile"):
        raise Http404
    row = ProviderDate.objects.defer("footprint").filter(source=found, uuid=image).first()
    if row is None:
        raise Http404
    return answer(request, found, row, z, x, y)


def answer(request: HttpRequest, source: ImagerySource, row: ProviderDate, z: int, x: int, y: int) -> HttpResponse:
    """What the provider shows, to somebody who may see it."""
    try:
        shown = providers.tile(source, row, z, x, y)
    except providers.NoImage:
        response = HttpResponse(status=204, headers={"X-Imagery": "none"})
    except providers.Unavailable as error:
        headers = {"X-Imagery": "unavailable", "Retry-After": str(error.retry_after_s), "Cache-Control": "no-store"}
        response = HttpResponse(status=503, headers=headers)
        response._has_been_logged = True  # it is no failure of ours: a page can ask for dozens of such tiles
        return response
    else:
        response = HttpResponse(shown.content, content_type=shown.content_type, headers={"X-Imagery": shown.imagery})
    response.headers["Cache-Control"] = f"private, max-age={KEEP_S}" if _may_keep(request, source) else "no-store"
    patch_vary_headers(response, ["Cookie"])
    return get_conditional_response(request, response=response) or response


def _may_keep(request: HttpRequest, source: ImagerySource) -> bool:
    """Only what the rights let be kept, and only under an address that changes with the source."""
    return source.may_cache and request.GET.get("v") == str(source.revision)
