"""What holds for every test."""

from hypothesis import settings

settings.register_profile("usual", deadline=None)  # a busy machine is slow: no test asserts a time
settings.load_profile("usual")
