"""The names that datasets usually give their columns, in lower case; of several, the first is taken."""

from __future__ import annotations

TEXT = (
    "text",
    "sentence",
    "sentence1",
    "premise",
    "question1",
    "question",
    "query",
    "review",
    "content",
    "utterance",
    "tweet",
    "title",
)
LABEL = (
    "label",
    "labels",
    "class",
    "category",
    "target",
    "intent",
    "sentiment",
    "y",
    "label_id",
    "label_idx",
    "class_id",
    "gold_label",
)
IMAGE = ("image", "file", "file_name", "filename", "path", "image_path", "filepath")

# Columns that are a text pair wherever they stand side by side.
PAIRS = (
    ("text", "text_pair"),
    ("text", "text2"),
    ("text1", "text2"),
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
)
# Columns that are a text pair only for a checkpoint that wants one: files of single texts have them too.
PAIRS_ON_REQUEST = (
    ("question", "answer"),
    ("question", "passage"),
    ("question", "context"),
    ("question", "sentence"),
    ("query", "answer"),
    ("query", "passage"),
)
