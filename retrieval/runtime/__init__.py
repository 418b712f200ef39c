"""Encoders on OpenVINO instead of torch: exported once, checked against torch, and used when they are there.

    choose     what a command asked for, `torch`, `openvino` or `auto`, becomes an encoder
    export     towers become an export, if it agrees with torch (`gate`, on the pictures and texts of `bank`)
    store      an export on disk: written aside, hashed, renamed; found by its towers; checked before it is loaded
    names      which export belongs to a model's name, without reading its weights again
    reopen     towers made from an export, free of torch
    openvino_graph   the one module that imports OpenVINO

An export holds towers, not heads: all heads trained on the same towers share it. Vectors made by either runtime have
the same fingerprint and meet in one index. That is sound because of the gate: each vector of
the bank must have a cosine of at least 0.9995 with torch's.

To make towers exportable see `retrieval/encoders/towers/graphs.py`.
"""
