"""Imports every module that registers a kind of work, so that any worker can do it."""
