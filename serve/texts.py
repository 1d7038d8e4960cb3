"""Texts as a service takes them, validated before rows of different requests meet in one batch.

A batch fails as a whole, so nothing that one client sent may be found out to be wrong only inside it.
"""

from typing import Annotated, Any, Self

from bentoml import IODescriptor  # noqa: TID253  reached from serve.service alone
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    RootModel,
    Tag,
    field_validator,
    model_validator,
)
from starlette.requests import Request

from serve.example import EXAMPLE_TEXT


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("the text is empty")
    return text


Text = Annotated[str, AfterValidator(_not_blank)]


class TextPair(BaseModel):
    """Two texts that are classified together, such as a premise and a hypothesis."""

    model_config = ConfigDict(extra="forbid")

    text: Text
    text_pair: Text

    @model_validator(mode="before")
    @classmethod
    def _has_both(cls, item: object) -> object:
        if not isinstance(item, dict) or item.keys() != {"text", "text_pair"}:
            raise ValueError("each of the texts should be a string, or an object with the keys 'text' and 'text_pair'")
        return item


def _kind(text: object) -> str:
    return "text" if isinstance(text, str) else "pair"


# told apart first, so that one mistake gets one message, not one for each kind it could have been
OneText = Annotated[Annotated[Text, Tag("text")] | Annotated[TextPair, Tag("pair")], Discriminator(_kind)]


class TextItem(RootModel[OneText]):
    """A text, or two that are classified together."""


class TextRequest(IODescriptor):  # type: ignore[misc]  # BentoML is untyped here
    """Texts to classify, in JSON; each is a string or an object with `text` and `text_pair`."""

    model_config = ConfigDict(extra="forbid")

    texts: list[TextItem] = Field(
        min_length=1,
        description="one or more texts, or pairs of texts",
        json_schema_extra={"example": [EXAMPLE_TEXT]},
    )

    @field_validator("texts")
    @classmethod
    def _examples(cls, items: list[TextItem]) -> list[Any]:
        """As the task takes them: strings, and tuples of two."""
        texts = [item.root for item in items]
        return [text if isinstance(text, str) else (text.text, text.text_pair) for text in texts]

    @classmethod
    async def from_http_request(cls, request: Request, serde: object) -> Self:
        """The body is JSON whatever its header says: curl calls everything a form."""
        asked: Self = cls.model_validate_json(await request.body() or b"{}")
        return asked
