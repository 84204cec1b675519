"""The terminal dashboard."""

import os

# Textual waits so many ms for the rest of a key's sequence before it takes Esc for itself; its usual 100 are felt
os.environ.setdefault("ESCDELAY", "30")
