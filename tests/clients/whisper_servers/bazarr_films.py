"""Runs Bazarr's own provider, in an interpreter of its own: bazarr_films.py FOLDER ADDRESS FILM LANGUAGE."""

import json
import shutil
import sys
from pathlib import Path

folder, address, film, wanted = sys.argv[1:]
sys.path[:0] = [str(Path(folder) / name) for name in ("custom_libs", "libs")]

from subliminal.video import Movie  # noqa: E402
from subliminal_patch.providers.whisperai import WhisperAIProvider  # noqa: E402
from subzero.language import Language  # noqa: E402

provider = WhisperAIProvider(
    endpoint=f"{address}/",
    response="30",
    timeout="3600",
    ffmpeg_path=shutil.which("ffmpeg"),
    pass_video_name=True,
    loglevel="INFO",
)
provider.initialize()
video = Movie(film, "Film")
video.original_path = video.original_name = film
video.audio_languages = set()
(subtitle,) = provider.list_subtitles(video, {Language(wanted)})
provider.download_subtitle(subtitle)
assert subtitle.is_valid()
print(json.dumps({"task": subtitle.task, "srt": subtitle.content.decode()}))
provider.terminate()
