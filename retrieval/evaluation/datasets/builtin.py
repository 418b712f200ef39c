"""The sets that can be named in place of a path, because a package registry brings them."""

from collections.abc import Mapping

BUILTIN: Mapping[str, str] = {
    "stamps": "532 pictures with captions in 78 languages, Debian package tuxpaint-stamps-default (GPL-2)",
    "demo": "a shop of 54 products, npm package @vendure/create (GPL-3.0; photos from Unsplash)",
}
"""Name -> what it is, in a line. `stamps` is read by `stamps`; `demo` is a catalogue, which the indexer reads."""
