"""Rollouts of other processes on this machine: they are followed in the journal, and asked by a socket."""
