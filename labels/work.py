"""Imports every module that registers a kind of work, so that any worker can do it."""

import labels.audit_opening
import labels.demonstration.loading_jobs
import labels.duplicates
import labels.editions
import labels.imagery.loading
import labels.imagery.providers.downloads
import labels.ingest.areas
import labels.ingest.registers
import labels.releases.making  # noqa: F401
