"""Every error that Catalens raises on purpose.

CatalensError
├── SourceError              a catalogue or folder to index: missing, empty, unreadable, unknown column
├── ImageError               bytes that cannot be used as a picture
├── QueryError               a query that cannot be answered: nothing asked, too long, k out of range
│   └── FilterError          a filter, facet or sorting that is not understood, or does not fit the fields
├── RulesError               a rules file that cannot be used; the message names line and place
├── EvaluationError          figures that would be wrong or mean nothing: missing pictures, unknown measure or id
├── TrainingError            heads that cannot be trained as asked: too few pictures, one text for all of them
├── CollectionError          a collection on disk
│   ├── CollectionNotFound
│   ├── CollectionLocked     another process is writing
│   ├── CollectionDamaged    the database cannot be read, or is of another version
│   ├── CollectionChanged    another process wrote between two reads that belong together
│   └── StorageError         the disk is full or read-only
└── EncoderError             a model
    ├── UnknownModel
    ├── WeightsUnavailable   the weights are neither here nor can be fetched
    ├── ExportError          cannot run on OpenVINO: an operation, other vectors than torch's, a damaged export
    └── FingerprintMismatch  vectors of one encoder met a query of another

A message says what happened and to what; the hint says what to do next.
"""


class CatalensError(Exception):
    """Base of the family. `str(error)` is the message; `error.hint` the next step, or an empty string."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SourceError(CatalensError):
    """A source to index is missing, empty, unreadable or does not have the columns asked for."""


class ImageError(CatalensError):
    """Bytes that cannot be used as a picture. The message is the reason, short enough for a report line."""


class QueryError(CatalensError):
    """A query that cannot be answered as asked. field: the part of it that is to blame, such as `parts[0].words`."""

    def __init__(self, message: str, *, hint: str = "", field: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field


class FilterError(QueryError):
    """A filter, a facet or a sorting that is not understood, or that does not fit the fields of the items."""


class RulesError(CatalensError):
    """Boosts, pins, hides or synonyms that cannot be used as they are written."""


class EvaluationError(CatalensError):
    """Search cannot be judged as asked; a figure would be wrong or mean nothing."""


class TrainingError(CatalensError):
    """Heads cannot be trained as asked: the data teach nothing, or nothing could be judged by."""


class CollectionError(CatalensError):
    """A collection on disk cannot be used as asked."""


class CollectionNotFound(CollectionError):
    """There is no collection at that place."""


class CollectionLocked(CollectionError):
    """Another process is writing to the collection."""


class CollectionDamaged(CollectionError):
    """The catalogue database cannot be read, or belongs to another version of Catalens."""


class CollectionChanged(CollectionError):
    """Another process changed the collection between two reads that belong together."""


class StorageError(CollectionError):
    """The disk refused a write: it is full or read-only."""


class EncoderError(CatalensError):
    """A model cannot be used as asked."""


class UnknownModel(EncoderError):
    """No encoder goes by that name."""


class WeightsUnavailable(EncoderError):
    """The weights are not on this machine and could not be fetched."""


class ExportError(EncoderError):
    """A model cannot be run on OpenVINO: it lacks an operation, vectors are not torch's, or the export is damaged."""


class FingerprintMismatch(EncoderError):
    """Vectors of one encoder met vectors of another; their scores would mean nothing."""
