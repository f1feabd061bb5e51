"""Other people's data, brought into the form that the stages read: labels and features.

`pipeline.reading` opens their tables, `columns` says what is in them, `pipeline.clip_ids` which
clip is meant, and all of them say in `pipeline.findings` what is odd. `layouts` of labels go
through `clips`, which matches and checks them; `features` become a feature store; `importing`
writes both.
"""
