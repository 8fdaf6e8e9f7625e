"""The demonstration's tile provider as a source of its project, beside the pictures that are loaded."""

import json
from collections.abc import Callable

from labels.demonstration.provider import ATTRIBUTION, TileStore
from labels.imagery.providers import listing
from labels.imagery.providers.templates import read_tilejson
from labels.models import ImagerySource, Project
from labels.models.projects import ImageryPolicy

SOURCE = {"slug": "orbita-live", "name": "Orbita live"}


def add(project: Project, address: str, say: Callable[[str], None]) -> ImagerySource:
    """The source, and what it offers; nobody is asked, for what it would say is known here."""
    described = {"kind": ImagerySource.Kind.TILEJSON, "name": SOURCE["name"], "attribution": ATTRIBUTION}
    source, is_new = ImagerySource.objects.get_or_create(
        project=project,
        slug=SOURCE["slug"],
        defaults=described | {"address": address, "evidence": "Drawn by the demonstration itself."},
    )
    if is_new:
        # Only when it comes: a lead who goes back to local imagery stays there.
        Project.objects.filter(pk=project.pk).update(imagery_policy=ImageryPolicy.THROUGH_SERVER)
        project.refresh_from_db()
    elif source.address != address:  # its port was taken
        source.address = address
        source.save(update_fields=["address"])
    told = read_tilejson(source, json.dumps(TileStore().describe(address.rstrip("/"))), address)
    listed = listing.keep(source, told)
    if is_new:
        say(f"{source.name}: {listed.created} dates")
    return source
