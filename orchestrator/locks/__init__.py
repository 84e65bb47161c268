"""The locks of applications: on this machine, and on all machines that share a Consul."""
