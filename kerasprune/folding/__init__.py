"""Model Folding: channels that are alike are merged, where a plan by scores would pick some of them."""
