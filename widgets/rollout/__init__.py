"""The rollout on the screen, and what waits for the operator."""
