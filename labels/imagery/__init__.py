"""Pictures of the ground: opened safely, prepared once, shown as tiles, with their dates and rights.

`opening`, `grid`, `capture_date`, `preparation` and `child` know no Django: they run in a process of their own that may
read hostile files (`sandbox` starts it). `loading` is the job around them, `scenes` asks which pictures cover a place,
`tiles` reads them, `rights` says what may be done with them.
"""
