"""Protocols that tests play."""
