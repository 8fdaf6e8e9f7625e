"""Celery tasks: each takes ids and calls one function."""

from celery import shared_task

from predictions import chunks, rules


@shared_task
def help_with_features(feature_set_id: int, token: int) -> None:
    if chunks.help_once(feature_set_id, token):
        chunks.call_helper(feature_set_id, token)


@shared_task
def retrain_where_due() -> None:
    rules.retrain_where_due()
