"""The program killed at random moments: jobs, moments, what is looked at after a kill, and how checkpoints are damaged."""
