"""Tests of what runs on Dataflow, with Google's own clients against services on this machine."""
