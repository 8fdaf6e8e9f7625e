"""Imports every module that registers a kind of work, so that any worker can do it."""

from labels import audit_opening  # noqa: F401
