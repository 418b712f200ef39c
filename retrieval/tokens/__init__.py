"""What a reranker looks at: a photo place by place and a text piece by piece, small enough to keep for each of them."""
