"""Items that a program puts and deletes one by one, beside those that an index run reads from folders and files.

They belong to a source of their own, PROGRAM, so that no index run of a folder or file removes them. Whoever wrote an
item last owns it: a put takes over an item that came from a file, and the file's next index run takes it back if a row
or photo of it has that id. An item of a file that was deleted comes back in the same way.
"""

from indexer.items.delete import delete_items
from indexer.items.outcome import ItemOutcome, Written
from indexer.items.program import PROGRAM, upkeep
from indexer.items.put import put_items
from indexer.items.value import PutItem

__all__ = ["PROGRAM", "ItemOutcome", "PutItem", "Written", "delete_items", "put_items", "upkeep"]
