"""What the HTTP server is compared with: a FastAPI handler that encodes a text and does nothing else.

    python -m benchmarks.http_bare --port 8001

The same encoder, the same uvicorn settings as `catalens serve`; one text at a time, since a tower takes one thread.
"""

import argparse
from threading import Lock

import uvicorn
from fastapi import FastAPI

from retrieval.encoders import load_encoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", default="starter")
    arguments = parser.parse_args()
    encoder, encoding = load_encoder(arguments.model), Lock()
    encoder.encode_texts(["a photo"])
    app = FastAPI()

    @app.get("/encode")
    def encode(q: str) -> dict[str, int]:
        with encoding:
            return {"numbers": encoder.encode_texts([q]).shape[1]}

    uvicorn.run(
        app,
        host="127.0.0.1",
        port=arguments.port,
        http="h11",
        ws="none",
        log_level="critical",
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
