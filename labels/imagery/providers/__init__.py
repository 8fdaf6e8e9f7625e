"""Imagery of others: asked by our server, guarded, kept on disk with limits. docs/providers.md tells the whole.

`tile` and `read_pixels` are the door for tiles and chips, `listing` learns what a provider offers, `captures` when its
pictures were taken. `fetching` is the one way out; `guard` says where it may lead, `asking` on whose behalf.
"""

from labels.imagery.providers.errors import NoImage, ProviderError, Unavailable

__all__ = ["NoImage", "ProviderError", "ProviderTile", "Unavailable", "read_pixels", "tile"]


def __getattr__(name: str):
    # The tables import nothing of this package, but errors of it are raised where no table is known yet.
    if name in ("ProviderTile", "read_pixels", "tile"):
        from labels.imagery.providers import serving

        return getattr(serving, name)
    raise AttributeError(name)
