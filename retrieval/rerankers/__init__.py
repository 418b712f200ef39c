"""Rerankers: how well a text and a photo fit, judged by both together instead of by one vector each."""

from retrieval.rerankers.folder import default_reranker
from retrieval.rerankers.load import load_reranker

__all__ = ["default_reranker", "load_reranker"]
