"""Other people's data, brought into the form that the stages read: labels and features.

`reading` opens their tables, `columns` says what is in them, `pipeline.clip_ids` finds which clip
is meant, `checks` and `probing` look for what is odd, and all of them say so in `findings`. Layouts
of labels (`hume`, `muse`, `table`) become a `Collection`; `features` become a feature store.
"""
