"""The load balancers of an application: written to as one, and what is read from them."""
