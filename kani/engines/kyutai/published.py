"""The published checkpoints of Kyutai's models, and the files that are read of one.

Source: PyPI moshi 0.2.13, ``models/tts.py`` and ``models/loaders.py``. The package is under the MIT licence,
the checkpoints are under CC-BY 4.0. Their commits could not be looked up, so that the revision that is
fetched first is kept.
"""

SPEECH_MODEL = "kyutai/tts-1.6b-en_fr"
"""1.8 billion parameters, English and French, voices by embedding; 4.1 GB."""

HEARING_MODEL = "kyutai/stt-1b-en_fr"
"""A billion parameters, English and French; 2 GB."""

HEARING_RATE = 24_000
"""Hertz of the audio that the recognisers hear."""

FILES = ("*.json", "*.safetensors", "*.model")

NAMES = {
    "moshi_weights": ("moshi_name", "model.safetensors"),
    "mimi_weights": ("mimi_name", "tokenizer-e351c8d8-checkpoint125.safetensors"),
    "tokenizer": ("tokenizer_name", "tokenizer_spm_32k_3.model"),
    "mimi_config_path": ("mimi_config_name", ""),
}
"""Arguments of the package's ``CheckpointInfo.from_hf_repo``: what of ``config.json`` names the file, and the
name without it; the last file is optional."""

VOICES = "kyutai/tts-voices"
"""Repository of the published voices."""

VOICE_FOLDER = "unmute-prod-website"
"""Folder of it that is fetched: the voices of Unmute."""

DEFAULT_VOICES = {
    "en": ("unmute-prod-website/default_voice.wav",),
    "fr": ("unmute-prod-website/fabieng-enhanced-v2.wav", "unmute-prod-website/developpeuse-3.wav"),
}
"""Default voices by language: the first that is there."""

FRENCH = ("/fr/", "fabieng", "developpeuse")
"""Parts of the names of French voices."""

RECORDING_S = 10.0
"""Seconds of a recording that are used, as those of Kyutai's own voices have."""
