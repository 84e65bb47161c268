"""What several kinds of tests need: servers, fakes and stacks."""
