"""Files on their way in."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler, SkipFile


class NoLargerThanARoster(FileUploadHandler):
    """Drops a file that is larger than any roster, as soon as that is known, and says so in `request.upload_too_large`.

    The other fields of the form are read, so that the page can answer with a sentence.
    """

    def handle_raw_input(self, input_data: Any, META: Any, content_length: int, *args: Any, **kwargs: Any) -> None:
        self.most = settings.ROSTER_MAX_MB * 2**20
        # What is not the file, such as pasted lines, is held to a limit of Django's own.
        self.is_hopeless = content_length > self.most + settings.DATA_UPLOAD_MAX_MEMORY_SIZE

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        if self.is_hopeless:
            self._drop()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        if start + len(raw_data) > self.most:
            self._drop()
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None

    def _drop(self) -> None:
        self.request.upload_too_large = True  # type: ignore[union-attr]
        raise SkipFile
