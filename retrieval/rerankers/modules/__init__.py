"""Networks that judge pairs. Each: (tokens [n, length, width], lengths [n], vectors [n, dimension]) of the texts, then
of the photos -> logits [n]. A side may have one row, which goes with all of the other's and is computed once.

    attention         softmax(q k^T / sqrt(d) + mask) v
    pair              what all have in common, and the masks of rows that end early
    cross_attention   pieces of the text look at places of the photo
    maxsim            each piece takes the place that fits it best
    concat_mlp, gating, bilinear, weighted_sum   fuse the mean tokens

None looks at the vectors, but to set hubs back: see `pair`.
"""
