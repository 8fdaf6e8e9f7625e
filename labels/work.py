"""Imports every module that registers a kind of work, so that any worker can do it."""

from labels.ingest import registers  # noqa: F401
