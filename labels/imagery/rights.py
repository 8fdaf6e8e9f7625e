"""What may be done with an imagery source; asked by tiles, pages, releases and training alike."""

from datetime import date

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from labels.models import ImagerySource
from labels.models.projects import ImageryPolicy


class Use(models.TextChoices):
    """What imagery is used for. A use needs its own right and those of the uses it rests on (NEEDS)."""

    VIEW = "view"
    CACHE = "cache"
    DERIVE_LABELS = "derive_labels"
    SHARE_LABELS = "share_labels"
    TRAIN = "train"


class Lack(models.TextChoices):
    """Why a use is not allowed, the gravest first."""

    NO_RIGHT = "no_right"
    OTHER_PURPOSE = "other_purpose"
    EXPIRED = "expired"
    LOCAL_ONLY = "local_only"


FLAGS = ("may_view", "may_cache", "may_derive_labels", "may_share_labels", "may_train")
NEEDS: dict[str, tuple[str, ...]] = {
    Use.VIEW: ("may_view",),
    Use.CACHE: ("may_view", "may_cache"),
    Use.DERIVE_LABELS: ("may_view", "may_derive_labels"),
    # Pictures that may no longer be looked at can still have given labels that may go.
    Use.SHARE_LABELS: ("may_derive_labels", "may_share_labels"),
    Use.TRAIN: ("may_derive_labels", "may_train"),
}
# Uses that ask for pictures: a project of local imagery asks no provider for any. Labels given before need none.
OF_PICTURES = (Use.VIEW, Use.CACHE, Use.DERIVE_LABELS)
# Uses that must say what for: a source limited to a purpose is closed to whoever names none.
FOR_A_PURPOSE = (Use.SHARE_LABELS, Use.TRAIN)


def today() -> date:
    return timezone.now().date()


def may(source: ImagerySource, use: str, *, on: date | None = None, purpose: str | None = None) -> bool:
    """Whether the source may be used so on that day (today), for that purpose.

    The rights hold through the day they expire. A source limited to a purpose, or to several with semicolons between,
    lets labels be shared and models be trained only for one of them, by its words; looking at it within the project
    needs no purpose, but one that is named must be among them.
    """
    return lacking(source, use, on=on, purpose=purpose) is None


def lacking(source: ImagerySource, use: str, *, on: date | None = None, purpose: str | None = None) -> Lack | None:
    """Why the source may not be used so; None when it may."""
    if not all(getattr(source, right) for right in NEEDS[use]):
        return Lack.NO_RIGHT
    if not _is_purpose(source.purpose, purpose, is_needed=use in FOR_A_PURPOSE):
        return Lack.OTHER_PURPOSE
    if source.rights_expire_on is not None and source.rights_expire_on < (on or today()):
        return Lack.EXPIRED
    is_asked = use in OF_PICTURES and source.kind != ImagerySource.Kind.SCENES
    if is_asked and source.project.imagery_policy != ImageryPolicy.THROUGH_SERVER:
        return Lack.LOCAL_ONLY
    return None


def _is_purpose(limits: str, purpose: str | None, is_needed: bool) -> bool:
    allowed = {_words(limit) for limit in limits.split(";")} - {""}
    if not allowed or (purpose is None and not is_needed):
        return True
    return _words(purpose or "") in allowed


def narrowed(wide: ImagerySource, by: ImagerySource) -> dict | None:
    """The values that leave a source no right that the other lacks; None where no purpose is common to both."""
    fields = {right: False for right in FLAGS if getattr(wide, right) and not getattr(by, right)}
    ends = [day for day in (wide.rights_expire_on, by.rights_expire_on) if day is not None]
    if ends and min(ends) != wide.rights_expire_on:
        fields["rights_expire_on"] = min(ends)
    if by.purpose and not wide.purpose:
        fields["purpose"] = by.purpose
    elif by.purpose:
        allowed = {_words(limit) for limit in by.purpose.split(";")} - {""}
        limits = [limit.strip() for limit in wide.purpose.split(";") if limit.strip()]
        common = [limit for limit in limits if _words(limit) in allowed]
        if not common and allowed:
            return None
        if len(common) < len(limits) and allowed:
            fields["purpose"] = "; ".join(common)
    return fields


def _words(text: str) -> str:
    return " ".join(text.split()).casefold()


# ---- the same rules as conditions of a query; purpose aside ----


def viewable(prefix: str = "") -> Q:
    """The sources that may be looked at today; `prefix` leads from the queried model to the source ("source__")."""
    unexpired = Q(**{f"{prefix}rights_expire_on__isnull": True}) | Q(**{f"{prefix}rights_expire_on__gte": today()})
    return Q(**{f"{prefix}may_view": True}) & unexpired & may_be_asked(prefix)


def may_be_asked(prefix: str = "") -> Q:
    """Pictures of our own, and providers only in projects that let our server ask them."""
    policy = Q(**{f"{prefix}project__imagery_policy": ImageryPolicy.THROUGH_SERVER})
    return Q(**{f"{prefix}kind": ImagerySource.Kind.SCENES}) | policy


def cacheable(prefix: str = "") -> Q:
    """The sources of whose pictures copies may be kept today."""
    return viewable(prefix) & Q(**{f"{prefix}may_cache": True})


def judgeable(prefix: str = "") -> Q:
    """The sources from which labels may be derived today: what is judged rests on them."""
    return viewable(prefix) & Q(**{f"{prefix}may_derive_labels": True})


# ---- in words ----


def why_hidden(source: ImagerySource) -> str:
    """Why nobody sees the source's pictures; empty when they may be looked at."""
    lack = lacking(source, Use.VIEW)
    return _said(source, lack, _("Its rights do not allow viewing.")) if lack else ""


def why_not_judged(source: ImagerySource) -> str:
    """Why no verdict may rest on the source's pictures; empty when it may."""
    lack = lacking(source, Use.DERIVE_LABELS)
    return _said(source, lack, _("Its rights do not allow labels to be derived.")) if lack else ""


def why_not_kept(source: ImagerySource) -> str:
    """Why no picture of the source is kept on our disk; empty when it may be."""
    lack = lacking(source, Use.CACHE)
    return _said(source, lack, _("The rights of this source do not allow keeping its pictures.")) if lack else ""


def _said(source: ImagerySource, lack: Lack, no_right: str) -> str:
    if lack == Lack.LOCAL_ONLY:
        return _("The project uses local imagery only.")
    if lack == Lack.EXPIRED:
        day = date_format(source.rights_expire_on, "DATE_FORMAT")
        return _("Its rights expired on %(day)s.") % {"day": day}
    return no_right
