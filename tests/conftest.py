"""Settings of all tests: in continuous integration, property tests draw the same examples every time."""

import os

import hypothesis

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")
