"""What the tests of the build tower compose."""
