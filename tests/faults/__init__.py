"""`python -m tests.faults`: what may go wrong, on real parts, more often than the tests have time for."""
