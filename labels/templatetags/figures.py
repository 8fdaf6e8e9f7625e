"""Figures as people write them."""

from django import template

from labels import charts, report_words

register = template.Library()

register.filter("number", report_words.number)
register.filter("percent", report_words.percent)
register.filter("bare_percent", report_words.bare_percent)
register.filter("interval", report_words.interval)
register.filter("metres", report_words.metres)
register.filter("metres_interval", report_words.metres_interval)
register.filter("svg_percent", charts.percent)


@register.filter
def bare_metres(value: float | None) -> str:
    return "–" if value is None else report_words.number(value)


@register.filter
def px(value: float) -> str:
    """A length for SVG, the same in every language."""
    return f"{value:.1f}"
