"""Documents with tags, as a twin: those of PV-DBOW predict the words one after the other, those of PV-DM all together."""

from __future__ import annotations

from twins.sgd import Example, Random, Twin


class Tagged:
    """What a twin does if document k has the input rows document + tags[k]."""

    tags: list[list[int]]
    used: list[int]

    def groups(self, texts, keep, seed, epoch, random: Random):
        """Each document as often as its tags predict it: the first time with its words."""
        whole = self.inputs
        for number, (text, tags) in enumerate(zip(texts, self.tags, strict=True)):
            together = self.mean and whole == "contexts"
            for turn, used in enumerate([tags] if together else [[tag] for tag in tags]):
                self.inputs, self.used = whole if turn == 0 else "document", used
                for _, example in super().groups([text], keep, seed, epoch, random):
                    yield number, example
            self.inputs = whole

    def example(self, words, centres, number, random: Random) -> Example:
        """The group with rows of tags in the place of the document's row."""
        made = super().example(words, centres, number, random)
        tags = [self.document + tag for tag in self.used]
        made.lanes = [[row for each in lane for row in (tags if each == self.document else [each])] for lane in made.lanes]
        return made


def tagged(twin: Twin, tags: list[list[int]]) -> Twin:
    """The twin for documents with tags."""
    kind = type(f"Tagged{type(twin).__name__}", (Tagged, type(twin)), {})
    made = kind(**vars(twin))
    made.tags = tags
    return made
