"""Protocols: one play in one file, its prompts in the `.md` beside it.

A file holds `SEATS` (seat -> what its holders do), `CONTESTANTS` (seats whose answers are compared),
`Options` (a `Value`) and `play(seed, cast, options) -> Play[None]`.
"""
