"""The privacy filter: the one door through which anything leaves the edge.

Runs in: the agent. Never: lets out what it could not read, bound and judge.
"""
