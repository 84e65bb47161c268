"""The load balancers of an application as one, and what their statistics show."""
