"""What decides: plan, guard, steps, rollout, control, events. No front end, no network."""
