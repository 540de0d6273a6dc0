"""Many trainings, each once: workers, what is finished on disk, the claim on a folder."""
