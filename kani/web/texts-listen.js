/** Words of the second tab that are loaded with it, by the page's language. */

import { addTexts } from "./i18n.js";

export const texts = {
  ar: {
    "listen.away": "انقطع الاتصال. يستمر التسجيل، وتعود الكلمات حين يعود الاتصال.",
    "listen.goes": "يستمر التسجيل.",
    "listen.missed": "لم تصل كل الكلمات، لكن التسجيل كامل. «{again}» يسمعه كله.",
    "listen.waits": "في الانتظار",
    "listen.sending": "يجري إرسال {name}…",
    "listen.other": "متكلم آخر ({name})",
    "problem.unfit": "النص لا يكاد يطابق هذا التسجيل: قد تكون الأوقات خاطئة.",
  },
  en: {
    "listen.away": "The line is lost. The recording goes on, and so do the words once the line is back.",
    "listen.goes": "The recording goes on.",
    "listen.missed": "Not every word came, but the recording is whole: “{again}” hears all of it.",
    "listen.waits": "waits its turn",
    "listen.sending": "Sending {name}…",
    "listen.other": "another speaker ({name})",
    "problem.unfit": "The text hardly fits this recording: its times may be wrong.",
  },
  es: {
    "listen.away": "Se perdió la conexión. La grabación sigue, y las palabras también cuando vuelva.",
    "listen.goes": "La grabación sigue.",
    "listen.missed": "No llegaron todas las palabras, pero la grabación está completa: «{again}» la oye entera.",
    "listen.waits": "espera su turno",
    "listen.sending": "Enviando {name}…",
    "listen.other": "otra persona ({name})",
    "problem.unfit": "El texto apenas corresponde a esta grabación: los tiempos pueden ser incorrectos.",
  },
  fr: {
    "listen.away": "La connexion est perdue. L’enregistrement continue, et les mots aussi dès qu’elle revient.",
    "listen.goes": "L’enregistrement continue.",
    "listen.missed": "Tous les mots ne sont pas arrivés, mais l’enregistrement est complet : « {again} » l’écoute en entier.",
    "listen.waits": "attend son tour",
    "listen.sending": "Envoi de {name}…",
    "listen.other": "une autre personne ({name})",
    "problem.unfit": "Le texte ne correspond guère à cet enregistrement : les temps peuvent être faux.",
  },
  hi: {
    "listen.away": "कनेक्शन टूट गया। रिकॉर्डिंग चलती रहती है, और कनेक्शन लौटने पर शब्द भी।",
    "listen.goes": "रिकॉर्डिंग चलती रहती है।",
    "listen.missed": "हर शब्द नहीं आया, पर रिकॉर्डिंग पूरी है: “{again}” उसे पूरा सुनता है।",
    "listen.waits": "अपनी बारी की प्रतीक्षा में",
    "listen.sending": "{name} भेजा जा रहा है…",
    "listen.other": "दूसरा वक्ता ({name})",
    "problem.unfit": "पाठ इस रिकॉर्डिंग से मुश्किल से मेल खाता है: समय गलत हो सकते हैं।",
  },
  ja: {
    "listen.away": "接続が切れました。録音は続いており、接続が戻れば文字も続きます。",
    "listen.goes": "録音は続いています。",
    "listen.missed": "届かなかった言葉がありますが、録音は全部あります。「{again}」で全部を聞き取ります。",
    "listen.waits": "順番待ち",
    "listen.sending": "{name}を送信中…",
    "listen.other": "別の話者（{name}）",
    "problem.unfit": "文章がこの録音とほとんど合いません。時刻が正しくない可能性があります。",
  },
  pt: {
    "listen.away": "A ligação perdeu-se. A gravação continua, e as palavras também quando ela voltar.",
    "listen.goes": "A gravação continua.",
    "listen.missed": "Nem todas as palavras chegaram, mas a gravação está completa: “{again}” ouve-a toda.",
    "listen.waits": "espera a sua vez",
    "listen.sending": "A enviar {name}…",
    "listen.other": "outra pessoa ({name})",
    "problem.unfit": "O texto mal corresponde a esta gravação: os tempos podem estar errados.",
  },
  zh: {
    "listen.away": "连接已断开。录音仍在继续，连接恢复后文字也会继续。",
    "listen.goes": "录音仍在继续。",
    "listen.missed": "并非每个词都已传到，但录音是完整的：“{again}”会听完全部。",
    "listen.waits": "等待中",
    "listen.sending": "正在发送 {name}…",
    "listen.other": "另一位说话者（{name}）",
    "problem.unfit": "文本与这段录音几乎不符：时间可能不准确。",
  },
};

addTexts(texts);
