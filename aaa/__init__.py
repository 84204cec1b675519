"""AAA ("AI Align AI"): language models teach each other, and what they say becomes training data."""

__version__ = "0.1.0"
