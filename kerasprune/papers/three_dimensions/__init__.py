"""Criteria of blocks: what is scored is dropped whole."""
