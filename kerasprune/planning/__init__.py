"""From scores, budget and target to the plan."""
