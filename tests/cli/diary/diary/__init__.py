"""A small composed app for the tests of the command line."""
