"""Rerankers: how well a text and a photo fit, judged by both together instead of by one vector each."""
