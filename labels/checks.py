"""System checks: wrong configuration is said at start, with what to do."""

from django.conf import settings
from django.core.checks import Error, Tags, register


@register(Tags.security, deploy=True)
def secret_key_is_ours(app_configs, **kwargs):
    if len(settings.SECRET_KEY) >= 40:
        return []
    return [Error("SECRET_KEY is too short.", hint="Make one of at least 50 random characters.", id="labels.E001")]
