"""What pages of runs write beside labels.templatetags.figures."""

import json
from datetime import timedelta

from django import template
from django.utils.translation import gettext as _

from labels.report_words import number

register = template.Library()


@register.filter
def as_json(value) -> str:
    return json.dumps(value, ensure_ascii=False)


@register.filter
def plain_number(value: float | None) -> str:
    """With two significant decimals where it is small, none where it is large."""
    if value is None:
        return "–"
    return number(value, 0 if abs(value) >= 10 or value == int(value) else 2)


@register.filter
def in_words(span: timedelta) -> str:
    """A duration nobody has measured to the minute."""
    minutes = span.total_seconds() / 60
    if minutes < 1:
        return _("less than a minute")
    if minutes < 100:
        return _("%(n)s min") % {"n": number(minutes)}
    if minutes < 48 * 60:
        return _("%(n)s h") % {"n": number(minutes / 60, 0 if minutes > 600 else 1)}
    return _("%(n)s days") % {"n": number(minutes / 1440, 1)}


@register.filter
def seconds(value: float) -> str:
    """How long work took."""
    if value < 60:
        return _("%(n)s s") % {"n": number(value)}
    return _("%(min)s min %(s)s s") % {"min": number(value // 60), "s": number(value % 60)}


@register.filter
def p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return f"< {number(0.001, 3)}" if value < 0.001 else number(value, 3 if value < 0.1 else 2)
