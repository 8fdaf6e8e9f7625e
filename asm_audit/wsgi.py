import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asm_audit.settings")


def _with_tiles_first(django):
    from labels.imagery.front import TilesFirst  # it knows models: after Django is set up

    return TilesFirst(django)


application = _with_tiles_first(get_wsgi_application())
