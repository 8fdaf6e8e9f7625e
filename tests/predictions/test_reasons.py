"""Whatever figure is missing, a page has a sentence for why."""

from predictions import calibration, quantities, reasons


def test_every_reason_has_a_sentence():
    assert set(quantities.REASONS) | {calibration.TOO_FEW, calibration.NO_SPREAD} <= set(reasons.SENTENCES)
    for key in reasons.SENTENCES:
        assert reasons.sentence(key).endswith(".")


def test_a_reason_of_a_newer_version_is_shown_as_it_is():
    assert reasons.sentence("the moon was full") == "the moon was full"
