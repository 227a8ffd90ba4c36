"""The two-fold evaluation: does the target task survive, do unseen attackers fail."""
