"""Evaluates many trainings, each once, in several processes, and stores finished ones on disk."""
