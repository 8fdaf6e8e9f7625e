"""Why a provider shows nothing, each as one sentence. No sentence holds an address with its key."""

from labels.errors import LabelsError


class ProviderError(LabelsError):
    """Base of what can go wrong with a provider of imagery."""


class Refused(ProviderError):
    """We do not ask this: the address leads where no request may go, or the project uses local imagery only."""


class Failed(ProviderError):
    """It was asked and gave nothing of use."""

    def __init__(self, sentence: str, *, was_slow: bool = False):
        super().__init__(sentence)
        self.was_slow = was_slow


class Unreadable(ProviderError):
    """It answered with something that is no picture, or no description we can use."""


class NoImage(ProviderError):
    """The provider has no picture of this place."""


class Unavailable(ProviderError):
    """It cannot be asked now: too slow, failing, or it asked us to wait."""

    def __init__(self, sentence: str, *, retry_after_s: int = 5):
        super().__init__(sentence)
        self.retry_after_s = retry_after_s
