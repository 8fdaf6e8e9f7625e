"""Django's admin, for those who run the system. It shows no map and no coordinates (its widget would fetch tiles from
elsewhere), and changes nothing of what is append-only."""

from django.contrib import admin
from django.contrib.gis.db.models import GeometryField

from labels import models


class LookOnly(admin.ModelAdmin):
    """Rows that no hand may change: evidence, judgements, and what is computed from them."""

    list_per_page = 50
    show_full_result_count = False

    def get_exclude(self, request, obj=None):
        return [field.name for field in self.model._meta.fields if isinstance(field, GeometryField)]

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class MembershipInline(admin.TabularInline):
    model = models.Membership
    extra = 0
    autocomplete_fields = ["user"]


@admin.register(models.Project)
class ProjectAdmin(admin.ModelAdmin):
    list_display = ["name", "slug", "country", "imagery_policy"]
    search_fields = ["name", "slug"]
    inlines = [MembershipInline]

    def has_delete_permission(self, request, obj=None):
        return False


@admin.register(models.Register)
class RegisterAdmin(admin.ModelAdmin):
    list_display = ["name", "project", "publisher", "licence", "destroy_by"]
    list_filter = ["project"]
    search_fields = ["name", "publisher"]

    def has_delete_permission(self, request, obj=None):
        return False


@admin.register(models.ImagerySource)
class ImagerySourceAdmin(admin.ModelAdmin):
    list_display = [
        "name",
        "project",
        "may_view",
        "may_derive_labels",
        "may_share_labels",
        "may_train",
        "rights_expire_on",
    ]
    list_filter = ["project"]
    # A provider's address and key are given on the product's own page, which checks the one and never shows the other.
    exclude = ["kind", "address", "access_key", "options"]

    def has_add_permission(self, request):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


@admin.register(models.Audit)
class AuditAdmin(admin.ModelAdmin):
    list_display = ["name", "project", "register", "design", "reviews_per_unit", "opened_at", "closed_at"]
    fields = ["name", "closed_at"]

    def has_add_permission(self, request):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


@admin.register(models.Job)
class JobAdmin(LookOnly):
    list_display = ["created_at", "kind", "subject", "state", "stage", "n_attempts", "project"]
    list_filter = ["state", "kind"]


@admin.register(models.AccessRecord)
class AccessRecordAdmin(LookOnly):
    list_display = ["at", "user", "action", "subject", "n_rows", "project"]
    list_filter = ["action"]


for model in (models.Edition, models.ReferenceLayer, models.Scene, models.Release):
    admin.site.register(model, LookOnly)
