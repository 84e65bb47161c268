"""The journal in the console: the list of its entries."""
