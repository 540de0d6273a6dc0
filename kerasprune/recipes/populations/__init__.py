"""Many trainings, each once: candidates evaluated in several processes or on Ray, and stored on disk."""
