"""Who may do what: the one place that views, tiles, exports and jobs ask (DESIGN 5a).

A person has one role in a project, and each role may also do what the one before it may. What a stranger may not know
exists answers 404; what a member's role does not cover answers 403. Superusers run the system through the admin; they
see a project only as its members do.
"""

from collections.abc import Iterable

from axes.handlers.database import AxesDatabaseHandler
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import OuterRef, QuerySet, Subquery, Sum
from django.http import Http404
from django.shortcuts import get_object_or_404

from labels.models import AccessRecord, Exposure, Membership, Project
from labels.models.projects import Role

FAILURES_FROM_ADDRESS, FAILURES_FROM_ANYWHERE = 5, 20

RANK = {Role.ANNOTATOR: 1, Role.ADJUDICATOR: 2, Role.LEAD: 3, Role.ADMIN: 4}

# action -> the lowest role that may do it. docs/security.md shows this table; a test keeps the two equal.
ACTIONS: dict[str, Role] = {
    "view_project": Role.ANNOTATOR,
    "view_tile": Role.ANNOTATOR,
    "review": Role.ANNOTATOR,
    "view_own_reviews": Role.ANNOTATOR,
    "adjudicate": Role.ADJUDICATOR,
    "view_register": Role.LEAD,
    "view_coordinates": Role.LEAD,
    "decide_duplicates": Role.LEAD,
    "view_reliability": Role.LEAD,
    "view_audit": Role.LEAD,
    "open_audit": Role.LEAD,
    "view_areas": Role.LEAD,
    "view_imagery": Role.LEAD,
    "view_release": Role.LEAD,
    "view_run": Role.LEAD,
    "start_run": Role.LEAD,
    "choose_run": Role.LEAD,
    "view_job": Role.LEAD,
    "import_register": Role.ADMIN,
    "import_areas": Role.ADMIN,
    "import_imagery": Role.ADMIN,
    "make_release": Role.ADMIN,
    "download_release": Role.ADMIN,
    "make_features": Role.ADMIN,
    "download_map": Role.ADMIN,
    "manage_people": Role.ADMIN,
    "cancel_job": Role.ADMIN,
}


def role_in(user, project: Project) -> Role | None:
    """The person's role in the project, read from the database at each request: a lost role closes at once."""
    if not user.is_authenticated or not user.is_active:
        return None
    role = Membership.objects.filter(project=project, user=user).values_list("role", flat=True).first()
    return Role(role) if role else None


def role_may(role: Role | None, action: str) -> bool:
    return role is not None and RANK[role] >= RANK[ACTIONS[action]]


def can(user, action: str, project: Project) -> bool:
    """Whether the person may do this in the project; an unknown action is a programming error (KeyError)."""
    return role_may(role_in(user, project), action)


def with_role(objects: QuerySet, user) -> QuerySet:
    """Objects that belong to a project, each with the person's `role` there: for `role_may`, without a second query."""
    known = user.is_authenticated and user.is_active
    role = Membership.objects.filter(project=OuterRef("project"), user=user.pk if known else None)
    return objects.annotate(role=Subquery(role.values("role")[:1]))


def require(user, action: str, project: Project) -> Role:
    """The person's role, or 404 for a stranger, or 403 for a member whose role does not cover the action."""
    role = role_in(user, project)
    if role is None:
        raise Http404
    if not role_may(role, action):
        raise PermissionDenied
    return role


def project_for(user, slug: str, action: str) -> Project:
    """The project of that slug, if the person may do this in it."""
    project = get_object_or_404(Project, slug=slug)
    require(user, action, project)
    return project


def projects_of(user) -> QuerySet[Project]:
    return Project.objects.filter(memberships__user=user)


def note_access(user, project: Project, action: str, subject: object, n_rows: int | None = None) -> None:
    """Keep who took out or revealed what. Give a subject without coordinates."""
    AccessRecord.objects.create(
        user=user if user and user.is_authenticated else None,
        project=project,
        action=action,
        subject=str(subject)[:200],
        n_rows=n_rows,
    )


def expose(user, units: Iterable, what: str) -> None:
    """Remember that the person has seen others' reviews (or a score) of these units: they may not review them."""
    Exposure.objects.bulk_create(
        (Exposure(unit_id=unit_id, user=user, what=what) for unit_id in units), ignore_conflicts=True, batch_size=5000
    )


# Of an AccessRecord: the person saw scores of places in the project.
SCORES_SEEN = "see_scores"

EXPOSE_PROJECT = """
WITH noted AS (
    INSERT INTO labels_accessrecord (uuid, project_id, user_id, action, subject, at)
    SELECT gen_random_uuid(), %(project)s, %(user)s, %(noted)s, '', now()
    WHERE %(what)s = %(score)s AND NOT EXISTS (
        SELECT FROM labels_accessrecord seen
        WHERE seen.user_id = %(user)s AND seen.project_id = %(project)s AND seen.action = %(noted)s
    )
)
INSERT INTO labels_exposure (unit_id, user_id, what, at)
SELECT unit.id, %(user)s, %(what)s, now()
FROM labels_sampleunit unit JOIN labels_audit audit ON audit.id = unit.audit_id
WHERE audit.project_id = %(project)s
  AND NOT EXISTS (SELECT FROM labels_exposure seen WHERE seen.unit_id = unit.id AND seen.user_id = %(user)s)
ON CONFLICT DO NOTHING
"""


def expose_project(user, project: Project, what: str) -> int:
    """`expose` for every unit of a project, in one statement; returns how many were new to the person.

    Scores are of places, not of units: that somebody saw them is noted once for the project too, and holds for units
    that are drawn later (`has_seen_scores`).
    """
    values = {"user": user.pk, "project": project.pk, "what": what}
    with connection.cursor() as cursor:
        cursor.execute(EXPOSE_PROJECT, values | {"score": Exposure.What.SCORE.value, "noted": SCORES_SEEN})
        return cursor.rowcount


def has_seen_scores(user, project: Project) -> bool:
    """Whether the person may review no unit of the project, whenever its audit was or will be opened. One query."""
    noted = AccessRecord.objects.filter(user=user, project=project, action=SCORES_SEEN).order_by()
    # Maps that were looked at before this was noted left rows of the units of their day.
    of_units = Exposure.objects.filter(user=user, what=Exposure.What.SCORE, unit__audit__project=project)
    return noted.values_list("pk").union(of_units.values_list("pk"), all=True).exists()


def login_failure_limit(request, credentials) -> int:
    """Wrong passwords before a lock-out (see AXES_LOCKOUT_PARAMETERS): 5 for a name from one address, 20 from anywhere.

    Were the few enough for everybody, anyone could keep a person out from afar.
    """
    from_here, _from_anywhere = AxesDatabaseHandler().get_user_attempts(request, credentials)
    n_here = from_here.aggregate(n=Sum("failures_since_start"))["n"] or 0
    return FAILURES_FROM_ADDRESS if n_here >= FAILURES_FROM_ADDRESS else FAILURES_FROM_ANYWHERE
