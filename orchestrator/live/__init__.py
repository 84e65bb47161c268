"""The live view of an application's load balancers."""
