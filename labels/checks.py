"""System checks: wrong configuration is said at start, with what to do."""

import re

from django.conf import settings
from django.core.checks import Error, Tags, register

ALLOWED_HOST = re.compile(r"(\[[0-9a-f:]+\]|[a-z0-9.-]+):[0-9]{1,5}", re.IGNORECASE)


@register(Tags.security)
def allowed_hosts_are_written_out(app_configs, **kwargs):
    wrong = [entry for entry in settings.IMAGERY_ALLOWED_HOSTS if not ALLOWED_HOST.fullmatch(entry)]
    if not wrong:
        return []
    told = f"IMAGERY_ALLOWED_HOSTS: {', '.join(wrong)} is no host:port."
    return [Error(told, hint="Write each as tiles.example.org:8080, without a scheme.", id="labels.E002")]


@register(Tags.security, deploy=True)
def secret_key_is_ours(app_configs, **kwargs):
    if len(settings.SECRET_KEY) >= 40:
        return []
    return [Error("SECRET_KEY is too short.", hint="Make one of at least 50 random characters.", id="labels.E001")]
