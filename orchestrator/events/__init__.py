"""What happens in a rollout, as values, and what follows from them: state, timeline, words."""
