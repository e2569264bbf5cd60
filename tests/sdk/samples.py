"""Models of the three providers, and images small enough to read."""

import base64
import hashlib

import pydantic

OPENAI = "openai/gpt-4o"
ANTHROPIC = "anthropic/claude-sonnet-4-5"
GEMINI = "gemini/gemini-2.5-flash"
ALL = [OPENAI, ANTHROPIC, GEMINI]

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb004300") + bytes(range(64)) + bytes.fromhex("ffd9")


class Verdict(pydantic.BaseModel):
    """A judgement on an image."""

    score: int
    reasons: list[str]


def ask(text="Hello"):
    return [{"role": "user", "content": text}]


def data_uri(media_type, image):
    return f"data:{media_type};base64,{base64.b64encode(image).decode()}"


def show(*images, text="What is it?"):
    """Messages with images, each a pair of declared media type and bytes."""
    parts = [{"type": "image_url", "image_url": {"url": data_uri(*image)}} for image in images]
    return [{"role": "user", "content": [{"type": "text", "text": text}, *parts]}]


def sha256(image):
    return hashlib.sha256(image).hexdigest()


def attempts(raw):
    """Attempts as the gateway lists them."""
    return raw.headers["x-heliostat-attempts"].split(", ")
