"""Counting without building, and the report of a plan."""
