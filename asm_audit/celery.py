"""The Celery application. Jobs are rows (labels.models.jobs); a message carries only a job's id."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asm_audit.settings")

app = Celery("asm_audit")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
