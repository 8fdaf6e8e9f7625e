"""Changing a source: its rights with their evidence, its measured offset, its pictures; each change is written down."""

import hashlib
from functools import reduce
from operator import or_
from pathlib import Path
from uuid import uuid4

from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labels import access
from labels.errors import Conflict
from labels.imagery import publishing, rights
from labels.imagery.providers import cache
from labels.models import AccessRecord, ImagerySource, Project, ReviewImage, Scene

RIGHTS = rights.FLAGS
OF_RIGHTS = (*RIGHTS, "purpose", "evidence", "rights_expire_on")
CHANGED, REMOVED, POLICY = "change_imagery", "remove_scene", "change_imagery_policy"
FOR_JUDGING = ("may_view", "may_derive_labels")
MOST_EVIDENCE_BYTES = 20 * 2**20
EVIDENCE = "evidence"
N_CHANGES = 50


@transaction.atomic
def change(
    source: ImagerySource, fields: dict, user, *, evidence: UploadedFile | None = None, is_reviewed: bool = False
) -> list[str]:
    """Give the source these values; what changed, in words. Changed rights count as reviewed by who changed them."""
    locked = ImagerySource.objects.select_for_update(no_key=True).get(pk=source.pk)
    changed = {name: value for name, value in fields.items() if getattr(locked, name) != value}
    told = [f"{name} {_told(getattr(locked, name))} → {_told(value)}" for name, value in changed.items()]
    if evidence:
        changed |= _keep(evidence)
        told.append(f"evidence file {changed['evidence_sha256'][:16]} {changed['evidence_name']}")
    if is_reviewed or evidence or any(name in OF_RIGHTS for name in changed):
        changed |= {"rights_reviewed_on": rights.today(), "rights_reviewed_by": user}
        told.append("rights reviewed")
    for name, value in changed.items():
        setattr(source, name, value)
    if changed:
        source.save(update_fields=list(changed))
        _forget_what_may_not_be_kept(source)
    for words in told:
        access.note_access(user, source.project, CHANGED, f"{source.slug}: {words}")
    return told


def _forget_what_may_not_be_kept(source: ImagerySource) -> None:
    """Tiles kept of a provider go with the right to keep them; not before the change is sure."""
    if source.kind != ImagerySource.Kind.SCENES and not rights.may(source, rights.Use.CACHE):
        transaction.on_commit(lambda: cache.forget(source.uuid))


def clear_kept_tiles() -> None:
    """Remove kept tiles that are too old or too many, and those whose source may not be kept today: rights expire."""
    providers = ImagerySource.objects.exclude(kind=ImagerySource.Kind.SCENES).filter(rights.cacheable())
    cache.forget_all_but(list(providers.values_list("uuid", flat=True)))
    cache.clear()


def judging_taken(source: ImagerySource) -> list[str]:
    """The subjects under which it is written down that a right to judge from the source was taken back."""
    return [f"{source.slug}: {name} {_told(True)} → {_told(False)}" for name in FOR_JUDGING]


def takes_judging() -> Q:
    """The changes, of any source, that took such a right."""
    ends = [Q(subject__endswith=f": {name} {_told(True)} → {_told(False)}") for name in FOR_JUDGING]
    return reduce(or_, ends)


@transaction.atomic
def change_policy(project: Project, policy: str, user) -> bool:
    """Whether the project's pages ask providers; written down, for it opens and closes their imagery."""
    before = Project.objects.select_for_update(no_key=True).get(pk=project.pk).imagery_policy
    project.imagery_policy = policy
    if before == policy:
        return False
    project.save(update_fields=["imagery_policy"])
    for source in project.imagery_sources.exclude(kind=ImagerySource.Kind.SCENES):
        source.project = project
        _forget_what_may_not_be_kept(source)
    access.note_access(user, project, POLICY, f"imagery policy {before} → {policy}")
    return True


def _told(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value in ("", None) else str(value)


def _keep(evidence: UploadedFile) -> dict:
    digest = hashlib.sha256()
    for chunk in evidence.chunks():
        digest.update(chunk)
    evidence.seek(0)
    path = default_storage.save(f"{EVIDENCE}/{uuid4().hex}", evidence)
    return {
        "evidence_path": path,
        "evidence_name": Path(evidence.name).name[:255],
        "evidence_sha256": digest.hexdigest(),
    }


def changes_of(source: ImagerySource) -> list[AccessRecord]:
    """The latest changes of the source, the newest first."""
    noted = AccessRecord.objects.filter(
        project=source.project, action__in=(CHANGED, REMOVED), subject__startswith=f"{source.slug}: "
    )
    return list(noted.select_related("user").order_by("-at", "-pk")[:N_CHANGES])


def n_reviews_on(scene: Scene) -> int:
    """Verdicts that rest on the picture, replaced and undone ones included: they are evidence too."""
    shown = ReviewImage.objects.filter(source=scene.source_id, scene_sha256s__contains=[scene.sha256])
    return shown.values("review").distinct().count()


@transaction.atomic
def remove_scene(scene: Scene, user) -> None:
    """Delete a picture and its files; Conflict where verdicts rest on it, for they could no longer be checked."""
    if n := n_reviews_on(scene):
        raise Conflict(
            ngettext(
                "%(n)d verdict rests on this picture, so it stays. "
                "To close it, take away the source's right to be viewed.",
                "%(n)d verdicts rest on this picture, so it stays. "
                "To close it, take away the source's right to be viewed.",
                n,
            )
            % {"n": n}
        )
    day = scene.captured_on or _("unknown date")
    access.note_access(
        user, scene.source.project, REMOVED, f"{scene.source.slug}: {scene.sha256[:16]} {day} {scene.original_name}"
    )
    publishing.remove(scene)
