"""Rules of a shop on top of search: synonyms, boosts, pins and hides, in one YAML file per collection.

```yaml
version: 1                                        # of this format; the only key that must be there
synonyms:
  - [sofa, couch, settee]                         # each stands for the others
  - {from: [trainers], to: [sneakers, running shoes]}   # one way: who asks for trainers gets these as well
boosts:
  - when: brand = "Acme" and price < 50           # which items, in the grammar of --filter; without it: all
    add: 0.03                                     # to the score, a cosine: at most 1, at least -1
  - add: 0.01 * log1p(sold) - 0.02 * (stock = 0)  # or computed from the item's attributes
    query: red dress                              # for this query only; without it: for all
pins:
  - {query: red dress, items: [SKU-7, SKU-9]}     # on the first places, in this order
  - {query: {contains: dress}, id: SKU-4, place: 3}     # on the third
hides:
  - {query: [red dress, dress red], items: [SKU-3]}     # of a list of queries any
  - {when: discontinued = true}                   # without query: always
```

A query is compared as words: without regard to case, width, punctuation and blanks. `query` is the whole query, a
list of such, or `{contains: words}`, which must follow each other. Of Chinese, Japanese, Korean and Thai each
character counts as a word.

Ids and words are taken as they are written: `0012`, `no` and `2024-01-01` need no quotes. A text with `: ` or ` #` in
it, or with a quote in front, stands in single quotes; so does one with a comma between { and } or [ and ].

Synonyms are found as whole words, the longest first, and are not followed from one line to the next. Synonyms and pins
need words; a search by a picture alone has only the boosts and hides that have no `query`.

An attribute that an item lacks counts as 0 in `add`; `default(field, x)` says otherwise. A comparison counts 1 or 0.
`add` knows + - * / ( ) = != < <= > >=, true, false, text in quotes to compare with, and min, max, abs, sqrt, log1p,
clamp(x, low, high) and default. Names with other characters than letters, digits and _ stand in backticks.

Pins hold whatever the confidence and for the group that they stand in, but only for what passes the filter, and not
where the hits are sorted by a field. A boost is added to what the hits are ranked by: a cosine, in a hybrid search a
score from 0 to 1.

Where rules meet: boosts add up, to at most 1 and at least -1; what is hidden is not pinned; of two pins for one place
the one further up in the file has it, and the other the next.
"""
