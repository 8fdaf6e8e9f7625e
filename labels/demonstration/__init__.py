"""A fictional country, drawn: landscape, imagery, mines and two registers with known errors.

Everything here is seeded and pure (NumPy, SciPy, rasterio): no Django, no network, no clock.
"""
