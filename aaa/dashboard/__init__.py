"""The terminal dashboard."""

import os

# how long (ms) Textual waits for the rest of a sequence before it takes Esc for itself; 100 are felt
os.environ.setdefault("ESCDELAY", "20")
