"""Makes a plan: from scores, a budget and a target to the channels kept of every group."""
