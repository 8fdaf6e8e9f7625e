"""Releases: immutable, content-hashed snapshots of labels, and the files made from them.

`making` is the door. A snapshot is gathered once (`gathering`, `cells`), written as canonical lines whose hash names
the release (`snapshot`), described (`card`, `columns`) and turned into files (`formats`), now or years later.
"""
