"""The engine: it plans, guards, runs and controls rollouts, without a front end or network libraries."""
