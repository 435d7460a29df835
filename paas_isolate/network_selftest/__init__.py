"""Tests the promises of the network with real connections. Nothing of the accounts is changed."""
