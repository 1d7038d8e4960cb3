"""Tasks: what a model's inputs and outputs mean. A task knows nothing of runtimes.

To add one: a file beside this one with a class like `TextClassification`, and a line here.
"""

from ftc.registry import Entry, Registry

TASKS = Registry(
    "task",
    {
        "text-classification": Entry(
            "ftc.tasks.text_classification:TextClassification",
            "one class for a text or a pair of texts",
        ),
        "image-classification": Entry(
            "ftc.tasks.image_classification:ImageClassification",
            "one class for an image",
        ),
    },
)
