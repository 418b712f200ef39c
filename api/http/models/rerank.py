"""Reranking in the shape of Cohere's API."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from api.http.models.documents import (
    MAX_INPUTS,
    ImageInput,
    ImageUrlInput,
    ItemInput,
    OneKind,
    Text,
    TextInput,
)
from retrieval.query.value import MAX_WORDS

RerankDocument = Annotated[Text | TextInput | ImageInput | ImageUrlInput | ItemInput, OneKind]


def _text_alone(value: Any) -> Any:
    if value != ["text"]:
        raise ValueError("documents are judged by their text alone; write into it what is to count")
    return value


class RerankRequest(BaseModel):
    """Documents that somebody else found, to be ordered by how well they fit words."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"query": "red shoes", "documents": ["a pair of red sneakers", "a wooden chair"], "top_n": 1},
                {"query": "red shoes", "documents": [{"item_id": "sku-red"}, {"item_id": "sku-blue"}]},
            ]
        },
    )

    model: str | None = Field(
        None, examples=["starter"], description="A model that a collection uses; by default the first collection's."
    )
    query: Annotated[str, Field(min_length=1, max_length=MAX_WORDS)] = Field(examples=["red shoes"])
    documents: Annotated[list[RerankDocument], Field(min_length=1, max_length=MAX_INPUTS)] = Field(
        description="Texts, pictures and stored items. Judge texts and pictures in calls of their own: the scores of "
        "texts are higher than those of pictures that fit as well."
    )
    top_n: int | None = Field(None, ge=1, examples=[10], description="How many to return; by default all.")
    return_documents: bool | None = Field(
        None, description="Whether results name their document; pictures are not repeated."
    )
    rank_fields: Annotated[list[str], BeforeValidator(_text_alone)] | None = Field(
        None, examples=[["text"]], description="What a document is judged by: `text`, and nothing else."
    )
    max_tokens_per_doc: int | None = Field(None, description="Taken and left aside.")
    max_chunks_per_doc: int | None = Field(None, description="Taken and left aside.")


class RankedDocument(BaseModel):
    """The document of a result: a text, or an item. A picture has neither."""

    text: str | None = None
    item_id: str | None = None
    collection: str | None = None


class RerankResult(BaseModel):
    """One document, with how well it fits."""

    index: int = Field(examples=[0], description="Its place in `documents`.")
    relevance_score: float = Field(
        ge=0,
        le=1,
        examples=[0.63],
        description="1 / (1 + exp(-2 s)), s being the cosine with the query, or where a reranker judged the document "
        "cosine + weight * (match - the mean match of those that it judged). 0.5 is a cosine of 0.",
    )
    document: RankedDocument | None = None


class RerankMeta(BaseModel):
    """What judged."""

    model: str = Field(examples=["starter"])
    reranker: str | None = Field(examples=["starter"], description="null where the cosine alone decided.")
    reranked: int = Field(examples=[2], description="How many documents the reranker judged.")


class Reranked(BaseModel):
    """The documents, best first."""

    id: str = Field(examples=["5f0c2b1e0f6d4a51a1f4d1f8a6f2a9c3"], description="A new one for each call.")
    results: list[RerankResult]
    meta: RerankMeta
