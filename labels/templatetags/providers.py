"""What pages may show of a provider's address."""

from django import template

from labels.imagery.providers import addresses

register = template.Library()


@register.filter
def host(address: str) -> str:
    """The host alone."""
    return addresses.host_of(address)
