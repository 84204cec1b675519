"""What leaves: which records are taken, why the others are not, and what is told of the whole.

Pure over canonical records (`aaa.records`): it reads no database and writes no file but what it is handed.
Every record is kept or dropped for one reason, so the numbers add up.
"""
