"""Texts and pictures as vectors, for programs that speak OpenAI's API."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, Response

from api.http.chosen import served_with
from api.http.dependencies import ServerDep
from api.http.documents import Pictures, text_of
from api.http.errors import Invalid
from api.http.models.documents import TextInput
from api.http.models.embeddings import EmbeddingInput, Embeddings, EmbeddingsRequest
from api.http.privacy import model_name
from api.http.server import Server
from retrieval.arrays import FloatArray
from retrieval.judging import encoded_pictures
from retrieval.search import Searcher

router = APIRouter(prefix="/v1", tags=["models"])


@router.post("/embeddings", response_model=Embeddings)
async def create_embeddings(server: ServerDep, asked: EmbeddingsRequest) -> Response:
    """Embed texts and pictures with a collection's model. Both kinds lie in one space: compare them by dot product."""
    return await server.run(_answer, server, asked)


def _answer(server: Server, asked: EmbeddingsRequest) -> Response:
    """The answer as bytes: to check a hundred thousand numbers again would take longer than to write them."""
    searcher = served_with(server, asked.model).searcher
    spec = searcher.encoder.spec
    if asked.dimensions not in (None, spec.dimension):
        raise Invalid(
            f"dimensions is {asked.dimensions}; the model has {spec.dimension}", hint="leave it out", field="dimensions"
        )
    inputs = asked.input if isinstance(asked.input, list) else [asked.input]
    vectors = _vectors(server, searcher, inputs)
    words = sum(len(text.split()) for each in inputs if (text := text_of(each)) is not None)
    value = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _written(vector, asked.encoding_format)}
            for index, vector in enumerate(vectors)
        ],
        "model": model_name(spec.name),
        "usage": {"prompt_tokens": words, "total_tokens": words},
    }
    return Response(json.dumps(value, separators=(",", ":")), media_type="application/json")


def _vectors(server: Server, searcher: Searcher, inputs: Sequence[EmbeddingInput]) -> FloatArray:
    vectors = np.zeros((len(inputs), searcher.encoder.spec.dimension), np.float32)
    texts = {place: text for place, each in enumerate(inputs) if (text := text_of(each)) is not None}
    pictures = Pictures(server.settings)
    files = {
        place: pictures.bytes_of(each, f"input.{place}")
        for place, each in enumerate(inputs)
        if not isinstance(each, str | TextInput)
    }
    if files:
        vectors[list(files)] = encoded_pictures(searcher, list(files.values())).vectors
    if texts:
        vectors[list(texts)] = searcher.encoding.text_vectors(list(texts.values()))
    return vectors


def _written(vector: FloatArray, form: str | None) -> Any:
    if form == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
    return [round(number, 7) for number in vector.tolist()]  # a float32 of length 1 has no more
