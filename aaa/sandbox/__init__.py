"""Running code that nobody trusts: two confined processes, and a channel that the code cannot forge.

`running.py` is our side. The other modules run in the children and know nothing but the standard library,
so that a child starts in a few milliseconds and holds nothing of ours. Keep this file free of imports.
"""
