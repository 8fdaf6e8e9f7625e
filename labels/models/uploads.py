"""Files people send, kept until the job that reads them is done."""

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Upload(models.Model):
    """A file under MEDIA_ROOT/uploads, named by this row's uuid; the name people gave it is only text."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey("labels.Project", models.CASCADE, related_name="uploads")
    register = models.ForeignKey("labels.Register", models.CASCADE, null=True, related_name="uploads")
    file_name = models.CharField(_("file"), max_length=255)
    # When the list was published, as said by who sent it; it becomes the edition's date.
    published_on = models.DateField(_("published"), null=True, blank=True)
    n_bytes = models.PositiveBigIntegerField(_("size"))
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    uploaded_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("upload")
        verbose_name_plural = _("uploads")
        ordering = ["-uploaded_at"]

    def __str__(self):
        return self.file_name
