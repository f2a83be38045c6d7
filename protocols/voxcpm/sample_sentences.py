"""What a voice says where somebody wants to hear how it sounds, in its own language."""

from __future__ import annotations

from speech.text.languages import primary

FALLBACK_SENTENCE = "1, 2, 3, 4, 5."
"""Said where there is no sentence: nearly every language has words for numbers."""

SAMPLE_SENTENCES = {
    "ar": "مرحبًا! هكذا يبدو صوتي.",
    "bg": "Здравейте! Така звучи гласът ми.",
    "bn": "নমস্কার! আমার কণ্ঠ শুনতে এমন।",
    "ca": "Hola! Així sona la meva veu.",
    "chr": "ᎣᏏᏲ! ᎣᏍᏓ ᏑᎾᎴᎢ.",
    "cs": "Dobrý den! Takhle zní můj hlas.",
    "cv": "Ырӑ кун! Ку манӑн сасӑ.",
    "da": "Hej! Sådan lyder min stemme.",
    "de": "Hallo! So klingt meine Stimme.",
    "el": "Γεια σας! Έτσι ακούγεται η φωνή μου.",
    "en": "Hello! This is how my voice sounds.",
    "es": "¡Hola! Así suena mi voz.",
    "et": "Tere! Selline on minu hääl.",
    "fa": "سلام! صدای من این‌گونه است.",
    "fi": "Hei! Tältä ääneni kuulostaa.",
    "fr": "Bonjour ! Voici le son de ma voix.",
    "he": "שלום! כך נשמע הקול שלי.",
    "hi": "नमस्ते! मेरी आवाज़ ऐसी है।",
    "hr": "Dobar dan! Ovako zvuči moj glas.",
    "hu": "Jó napot! Így szól a hangom.",
    "id": "Halo! Beginilah suara saya.",
    "it": "Ciao! La mia voce suona così.",
    "ja": "こんにちは。これが私の声です。",
    "ko": "안녕하세요! 제 목소리는 이렇습니다.",
    "nb": "Hei! Slik høres stemmen min ut.",
    "nl": "Hallo! Zo klinkt mijn stem.",
    "pl": "Dzień dobry! Tak brzmi mój głos.",
    "pt": "Olá! É assim que soa a minha voz.",
    "ro": "Bună ziua! Așa sună vocea mea.",
    "ru": "Здравствуйте! Так звучит мой голос.",
    "sk": "Dobrý deň! Takto znie môj hlas.",
    "sjn": "Mae govannen!",
    "sr": "Добар дан! Овако звучи мој глас.",
    "sv": "Hej! Så här låter min röst.",
    "ta": "வணக்கம்! என் குரல் இப்படித்தான் இருக்கும்.",
    "th": "สวัสดี เสียงของฉันเป็นแบบนี้",
    "tr": "Merhaba! Benim sesim böyle.",
    "uk": "Добрий день! Так звучить мій голос.",
    "vi": "Xin chào! Giọng của tôi nghe như thế này.",
    "yue": "你好！我把聲就係咁樣。",
    "zh": "你好！这就是我的声音。",
}
"""By primary language subtag."""


def sample_sentence(language: str) -> str:
    """What a voice of that language says (BCP 47; the empty tag of a voice without one is English)."""
    return SAMPLE_SENTENCES.get(primary(language or "en"), FALLBACK_SENTENCE)
