"""Each promise of `docs/reliability.md` has a file here that puts it to the test; `promise.py` says how."""
