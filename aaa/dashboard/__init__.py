"""The terminal dashboard."""

import os

# ms that Textual waits for the rest of a key's sequence before it takes Esc for itself; its usual 100 are felt
os.environ.setdefault("ESCDELAY", "30")
