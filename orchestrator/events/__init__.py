"""The events of a rollout as values, the bus, and what follows from events: state, timeline, texts."""
