"""What every text tower of the starter is given."""

MAX_CHARACTERS = 1000


def cleaned(text: str) -> str:
    """The first 1,000 characters, without lone surrogates, which no tokenizer can write as UTF-8.

    A tower averages over its tokens, so a long tail would drown what the text opens with.
    """
    return text[:MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8")
