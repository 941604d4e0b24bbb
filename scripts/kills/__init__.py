"""Kills the program at random moments: jobs, moments, checks after a kill, and damage to
checkpoints."""
