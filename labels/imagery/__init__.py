"""Pictures of the ground: opened safely, prepared once, shown as tiles and chips, with their dates and rights.

`opening`, `grid`, `capture_date`, `wishes`, `planning`, `preparation`, `gdal_copy` and `child` know no Django: they run
in a process of their own that may read hostile files (`sandbox` starts it, `stages` keeps what a killed one finished).
`loading` is the job around them, in a `work_folder`; `publishing` makes the scene; `server_folder` lists what lies on
the server. `scenes` asks which pictures cover a place, `tiles` and `chips` read them (`chip_pixels` without Django),
`rights` says what may be done with them.
"""
