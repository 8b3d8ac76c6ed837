"""A gateway to play with: real answers and real media on loopback, for the demo and the tests."""
