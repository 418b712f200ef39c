"""Which collection stands for the model, or the collection, that a request names."""

from api.http.errors import NotFound
from api.http.privacy import model_name
from api.http.server import Served, Server


def served_with(server: Server, model: str | None) -> Served:
    """The first collection that uses a model, or the first of all. Raises NotFound, naming the models there are."""
    served = server.all()
    names = {model_name(each.searcher.encoder.spec.name): each for each in reversed(served)}
    if model is None and served:
        return served[0]
    if model is None or model not in names:
        raise NotFound(
            "there is no collection" if model is None else f"no collection uses the model '{model[:80]}'",
            hint=f"models are {', '.join(sorted(names))}" if names else "start the server with --collection DIR",
            field="model",
        )
    return names[model]
