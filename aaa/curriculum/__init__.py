"""What is learned when: how a set of seeds is distributed, which of them a stage takes, and who goes on.

Pure functions over seeds, ratings and battles. Left out: playing the stages (`cluster/conductor.py`).
"""
