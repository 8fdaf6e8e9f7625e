"""What may be done with an imagery source; asked by tiles, pages, releases and training alike."""

from datetime import date

from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from labels.models import ImagerySource
from labels.models.projects import ImageryPolicy


def today() -> date:
    return timezone.now().date()


def viewable(prefix: str = "") -> Q:
    """The sources that may be looked at today; `prefix` leads from the queried model to the source ("source__")."""
    unexpired = Q(**{f"{prefix}rights_expire_on__isnull": True}) | Q(**{f"{prefix}rights_expire_on__gte": today()})
    return Q(**{f"{prefix}may_view": True}) & unexpired & may_be_asked(prefix)


def may_be_asked(prefix: str = "") -> Q:
    """Pictures of our own, and providers only in projects that let our server ask them."""
    policy = Q(**{f"{prefix}project__imagery_policy": ImageryPolicy.THROUGH_SERVER})
    return Q(**{f"{prefix}kind": ImagerySource.Kind.SCENES}) | policy


def judgeable(prefix: str = "") -> Q:
    """The sources from which labels may be derived today: what is judged rests on them."""
    return viewable(prefix) & Q(**{f"{prefix}may_derive_labels": True})


def is_viewable(may_view: bool, rights_expire_on: date | None) -> bool:
    """The same rule for values already read."""
    return may_view and (rights_expire_on is None or rights_expire_on >= today())


def why_hidden(source: ImagerySource) -> str:
    """Why nobody sees the source's pictures; empty when they may be looked at."""
    if source.kind != ImagerySource.Kind.SCENES and source.project.imagery_policy == ImageryPolicy.LOCAL:
        return _("The project uses local imagery only.")
    if not source.may_view:
        return _("Its rights do not allow viewing.")
    if not is_viewable(True, source.rights_expire_on):
        day = date_format(source.rights_expire_on, "DATE_FORMAT")
        return _("Its rights expired on %(day)s.") % {"day": day}
    return ""
