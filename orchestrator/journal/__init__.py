"""The journal: every rollout and every manual change, written before it happens and after."""
