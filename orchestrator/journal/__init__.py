"""The journal of all rollouts and manual changes: each command is written before it is sent."""
