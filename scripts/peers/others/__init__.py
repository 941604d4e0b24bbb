"""Peers, each in its own process: `python -m peers.others.NAME JOB`, a JSON object in, JSON lines
out."""
