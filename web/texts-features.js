/** Words of parts of the page that are loaded when they are first used, by the page's language. */

export const texts = {
  ar: {
    "speakers.voice": "إدراج الصوت",
    "speakers.pause": "إدراج وقفة",
    "speakers.note": "من ‎[voice:…]‎ فصاعدًا يتكلم هذا الصوت، و‎[pause:1s]‎ وقفة من ثانية.",
    "spoken.asking": "لحظة…",
  },
  en: {
    "speakers.voice": "Insert voice",
    "speakers.pause": "Insert pause",
    "speakers.note": "From [voice:…] on, that voice speaks; [pause:1s] is a pause of a second.",
    "spoken.asking": "One moment…",
  },
  es: {
    "speakers.voice": "Insertar voz",
    "speakers.pause": "Insertar pausa",
    "speakers.note": "Desde [voice:…] habla esa voz; [pause:1s] es una pausa de un segundo.",
    "spoken.asking": "Un momento…",
  },
  fr: {
    "speakers.voice": "Insérer la voix",
    "speakers.pause": "Insérer une pause",
    "speakers.note": "À partir de [voice:…], cette voix parle ; [pause:1s] est une pause d’une seconde.",
    "spoken.asking": "Un instant…",
  },
  hi: {
    "speakers.voice": "आवाज़ डालें",
    "speakers.pause": "विराम डालें",
    "speakers.note": "[voice:…] के बाद वही आवाज़ बोलती है; [pause:1s] एक सेकंड का विराम है।",
    "spoken.asking": "एक क्षण…",
  },
  ja: {
    "speakers.voice": "声を挿入",
    "speakers.pause": "間を挿入",
    "speakers.note": "[voice:…] から後はその声が話します。[pause:1s] は1秒の間です。",
    "spoken.asking": "お待ちください…",
  },
  pt: {
    "speakers.voice": "Inserir voz",
    "speakers.pause": "Inserir pausa",
    "speakers.note": "A partir de [voice:…] fala essa voz; [pause:1s] é uma pausa de um segundo.",
    "spoken.asking": "Um momento…",
  },
  zh: {
    "speakers.voice": "插入声音",
    "speakers.pause": "插入停顿",
    "speakers.note": "从 [voice:…] 起由该声音朗读；[pause:1s] 停顿一秒。",
    "spoken.asking": "请稍候……",
  },
};
