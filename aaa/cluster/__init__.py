"""Ray, and nothing else that knows it: seats wrap models, runners drive sessions, a supervisor makes
what runs match what the database wants. Actors hold no truth: any of them may die at any point.
"""
