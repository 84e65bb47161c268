"""The judgement on a new version, from what load balancers count while old and new serve side by side."""
