"""One application being worked on: what front ends drive and show."""
