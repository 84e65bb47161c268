"""Who may work on an application: on this machine, and on all that share a Consul."""
