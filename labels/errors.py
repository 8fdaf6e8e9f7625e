"""Errors a person caused or can mend: each is one sentence saying what is wrong and what to do."""


class LabelsError(Exception):
    """Base of the sentences the product says when it cannot do what was asked."""


class BadInput(LabelsError):
    """A file, argument or form value that cannot be used."""


class NotAllowed(LabelsError):
    """The person may not do this; the page behind it answers 403."""


class Conflict(LabelsError):
    """The state of the thing no longer allows this."""


class JobCancelled(LabelsError):
    """Raised inside a job when somebody asked it to stop; with a sentence where part of the work is done and stays."""


class JobLost(LabelsError):
    """Raised inside a job whose row was given to another worker: stop without writing."""
