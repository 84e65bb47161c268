"""Rollouts on other machines, as they are published in Consul: followed, controlled and taken over."""
