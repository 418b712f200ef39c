"""What is asked: a small value that can be written as text or JSON and passed around unchanged."""

from retrieval.query.value import BY, MAX_K, MAX_WORDS, By, ImageQuery, Part, Query

__all__ = ["BY", "MAX_K", "MAX_WORDS", "By", "ImageQuery", "Part", "Query"]
