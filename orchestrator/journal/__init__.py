"""What was done, kept: every rollout and every change by hand, written before it happens and after."""
