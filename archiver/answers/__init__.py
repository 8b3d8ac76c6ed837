"""Reading answers of APIs: untrusted JSON, leniently, into typed values.

Shared by all providers. Nothing here raises on a wrong type: what cannot be read counts as absent
and leaves a warning (`Notes`). Only `raise_for_answer`, `unwrap` and `identity_of` raise, and only
a `ProviderError` or a subclass.
"""

from archiver.answers.atonce import AtOnceProvider
from archiver.answers.bodies import Bodies, Body, bodies_of, body_of, first_with
from archiver.answers.envelopes import Envelope, Opened, is_layer, unwrap
from archiver.answers.faults import account_fault, is_error_body, raise_for_answer
from archiver.answers.identity import identity_of, path_segment
from archiver.answers.links import clean_url, embedded, is_marked_name
from archiver.answers.outputs import numbered, outputs_of, result_in, role_of, seed_in
from archiver.answers.pictures import PictureAnswer, picture_answers, read_pictures
from archiver.answers.reading import Fields, Notes
from archiver.answers.renditions import merge_equal_urls, rendition_of
from archiver.answers.scalars import (
    encodable,
    integer_of,
    json_of,
    moment_of,
    number_of,
    pixels_of,
    plain,
    seconds_of,
    size_of,
    text_of,
)
from archiver.answers.states import progress_of, settled
from archiver.answers.taskforms import TaskForm

__all__ = [
    "AtOnceProvider",
    "Bodies",
    "Body",
    "Envelope",
    "Fields",
    "Notes",
    "Opened",
    "PictureAnswer",
    "TaskForm",
    "account_fault",
    "bodies_of",
    "body_of",
    "clean_url",
    "embedded",
    "encodable",
    "first_with",
    "identity_of",
    "integer_of",
    "is_error_body",
    "is_layer",
    "is_marked_name",
    "json_of",
    "merge_equal_urls",
    "moment_of",
    "number_of",
    "numbered",
    "outputs_of",
    "path_segment",
    "picture_answers",
    "pixels_of",
    "plain",
    "progress_of",
    "raise_for_answer",
    "read_pictures",
    "rendition_of",
    "result_in",
    "role_of",
    "seconds_of",
    "seed_in",
    "settled",
    "size_of",
    "text_of",
    "unwrap",
]
