"""What languages are called: in English, by themselves, and by their other codes."""

from __future__ import annotations

LANGUAGES = """
af Afrikaans
am Amharic|አማርኛ
an Aragonese|aragonés
ar Arabic|العربية|عربي|ara
as Assamese
az Azerbaijani|azərbaycan
ba Bashkir
be Belarusian|беларуская
bg Bulgarian|български|bul
bn Bengali|Bangla|বাংলা|ben
bpy Bishnupriya Manipuri
bs Bosnian|bosanski
ca Catalan|català|valencian|cat
chr Cherokee
cs Czech|čeština|cesky|ces|cze
cv Chuvash
cy Welsh|cymraeg
da Danish|dansk|dan
de German|Deutsch|deu|ger
el Greek|ελληνικά|ell|gre
en English|eng
eo Esperanto
es Spanish|español|castellano|castilian|spa
et Estonian|eesti
eu Basque|euskara
fa Persian|Farsi|فارسی|fas|per
fi Finnish|suomi|fin
fr French|français|fra|fre
ga Irish|Gaeilge
gd Scottish Gaelic|Gàidhlig
gn Guarani
grc Ancient Greek
gu Gujarati|ગુજરાતી
hak Hakka|Hakka Chinese
haw Hawaiian
he Hebrew|עברית|heb|iw
hi Hindi|हिन्दी|हिंदी|hin
hr Croatian|hrvatski
ht Haitian Creole
hu Hungarian|magyar|hun
hy Armenian|հայերեն
hyw Western Armenian
ia Interlingua
id Indonesian|Bahasa Indonesia|ind
io Ido
is Icelandic|íslenska
it Italian|italiano|ita
ja Japanese|日本語|jpn
jbo Lojban
ka Georgian|ქართული
kk Kazakh|қазақ
kl Greenlandic
kn Kannada|ಕನ್ನಡ
ko Korean|한국어|kor
kok Konkani
ku Kurdish|kurdî
ky Kyrgyz|кыргызча
la Latin
lb Luxembourgish
lfn Lingua Franca Nova
lt Lithuanian|lietuvių
ltg Latgalian
lv Latvian|latviešu
mi Maori|Māori
mk Macedonian|македонски
ml Malayalam|മലയാളം
mr Marathi|मराठी
ms Malay|Bahasa Melayu
mt Maltese
mto Totontepec Mixe
my Burmese|Myanmar
nb Norwegian|Norwegian Bokmål|norsk|no|nor
nci Classical Nahuatl
ne Nepali|नेपाली
nl Dutch|Nederlands|Flemish|nld|dut
nog Nogai
om Oromo
or Oriya|Odia
pa Punjabi|ਪੰਜਾਬੀ
pap Papiamento
pl Polish|polski|pol
pt Portuguese|português|por
py Pyash
qdb Lang Belta
qu Quechua
quc K'iche'
qya Quenya
ro Romanian|română|ron|rum
ru Russian|русский|rus
sd Sindhi
shn Shan
si Sinhala
sjn Sindarin
sk Slovak|slovenčina
sl Slovenian|slovenščina
smj Lule Sami
sq Albanian|shqip
sr Serbian|српски|srpski
sv Swedish|svenska|swe
sw Swahili|Kiswahili
ta Tamil|தமிழ்
te Telugu|తెలుగు
th Thai|ไทย|tha
ti Tigrinya
tk Turkmen
tlh Klingon
tn Setswana|Tswana
tr Turkish|Türkçe|tur
tt Tatar
ug Uyghur
uk Ukrainian|українська|ukr
ur Urdu|اردو
uz Uzbek
vi Vietnamese|tiếng việt|vie
yue Cantonese|粵語
zh Chinese|Mandarin|中文|普通话|cmn|zho|chi
"""
"""One language a line: its primary subtag, its English name, and what else it is known by."""

REGIONAL = {
    "american english": "en-US",
    "brazilian": "pt-BR",
    "brazilian portuguese": "pt-BR",
    "british english": "en-GB",
    "european portuguese": "pt-PT",
    "latin american spanish": "es-419",
    "mexican spanish": "es-MX",
    "swiss french": "fr-CH",
}
"""Names that say a region too."""
