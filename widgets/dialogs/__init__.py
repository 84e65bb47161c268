"""What is asked: values in, one answer out."""
