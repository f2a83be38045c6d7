"""Short utterances in the languages that Kokoro speaks, written before anything was measured with them.

Each is a short opening, as people begin, and a sentence. The recogniser may be tuned on the first
``TUNING`` of a language; the others only judge it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TUNING = 6
"""Utterances of each language that may tune the recogniser."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A short opening and a sentence, said in one go."""

    language: str  # primary subtag
    opening: str
    sentence: str

    @property
    def text(self) -> str:
        """Both sentences."""
        space = "" if self.language in ("zh", "ja") else " "
        return f"{self.opening}{space}{self.sentence}"


_TEXTS = {
    "en": """
Good morning. | I would like to book a table for four people.
Sure. | The train to Bristol leaves from platform seven.
Oh, I see. | My brother repairs old bicycles in his garage.
Just a moment. | The keys are lying next to the radio.
Thank you. | We have lived in this street since last autumn.
Well, yes. | The library closes at six on Saturdays.
Hello, my name is Anna. | I live in a small house near the harbour.
No problem. | You can return the book next week.
Excuse me. | Where can I find the exit of this building?
That's right. | The doctor wants to see you again in May.
I don't know. | Nobody told me about the meeting today.
Please wait. | The lift is broken, so we have to take the stairs.
Good evening. | Tonight it will rain in the mountains.
""",
    "es": """
Buenos días. | Quisiera reservar una mesa para cuatro personas.
Claro que sí. | El tren a Sevilla sale del andén siete.
Ah, ya veo. | Mi hermano arregla bicicletas viejas en su garaje.
Un momento. | Las llaves están al lado de la radio.
Muchas gracias. | Vivimos en esta calle desde el otoño pasado.
Bueno, sí. | La biblioteca cierra a las seis los sábados.
Hola, me llamo Ana. | Vivo en una casa pequeña cerca del puerto.
No hay problema. | Puede devolver el libro la semana que viene.
Perdone. | ¿Dónde está la salida de este edificio?
Eso es. | El médico quiere verte otra vez en mayo.
No lo sé. | Nadie me dijo nada de la reunión de hoy.
Espere, por favor. | El ascensor no funciona y hay que subir a pie.
Buenas noches. | Esta noche lloverá en las montañas.
""",
    "fr": """
Bonjour. | Je voudrais réserver une table pour quatre personnes.
Bien sûr. | Le train pour Lyon part du quai numéro sept.
Ah, je vois. | Mon frère répare de vieux vélos dans son garage.
Un instant. | Les clés sont posées à côté de la radio.
Merci beaucoup. | Nous habitons dans cette rue depuis l'automne dernier.
Eh bien, oui. | La bibliothèque ferme à six heures le samedi.
Bonjour, je m'appelle Anne. | J'habite une petite maison près du port.
Pas de problème. | Vous pouvez rendre le livre la semaine prochaine.
Excusez-moi. | Où se trouve la sortie de ce bâtiment ?
C'est exact. | Le médecin veut vous revoir au mois de mai.
Je ne sais pas. | Personne ne m'a parlé de la réunion.
Attendez un peu. | L'ascenseur est en panne, il faut prendre l'escalier.
Bonsoir. | Cette nuit, il va pleuvoir dans les montagnes.
""",
    "it": """
Buongiorno. | Vorrei prenotare un tavolo per quattro persone.
Certo. | Il treno per Bologna parte dal binario sette.
Ah, capisco. | Mio fratello ripara vecchie biciclette nel suo garage.
Un momento. | Le chiavi sono accanto alla radio.
Grazie mille. | Abitiamo in questa strada dallo scorso autunno.
Beh, sì. | La biblioteca chiude alle sei il sabato.
Ciao, mi chiamo Anna. | Abito in una piccola casa vicino al porto.
Nessun problema. | Può restituire il libro la settimana prossima.
Mi scusi. | Dove si trova l'uscita di questo palazzo?
Esatto. | Il medico vuole rivederla nel mese di maggio.
Non lo so. | Nessuno mi ha detto niente della riunione.
Aspetti, per favore. | L'ascensore è rotto e dobbiamo salire a piedi.
Buonasera. | Questa notte pioverà sulle montagne.
""",
    "pt": """
Bom dia. | Gostaria de reservar uma mesa para quatro pessoas.
Claro. | O trem para Campinas sai da plataforma sete.
Ah, entendi. | Meu irmão conserta bicicletas velhas na garagem.
Um momento. | As chaves estão ao lado do rádio.
Muito obrigada. | Moramos nesta rua desde o outono passado.
Bem, sim. | A biblioteca fecha às seis horas aos sábados.
Olá, meu nome é Ana. | Moro em uma casa pequena perto do porto.
Sem problema. | Você pode devolver o livro na semana que vem.
Com licença. | Onde fica a saída deste prédio?
Isso mesmo. | O médico quer ver você de novo em maio.
Não sei. | Ninguém me falou da reunião de hoje.
Espere, por favor. | O elevador quebrou e temos que subir a pé.
""",
    "zh": """
早上好。 | 我想预订一张四个人的桌子。
当然可以。 | 去上海的火车从七号站台出发。
原来是这样。 | 我哥哥在车库里修理旧自行车。
请等一下。 | 钥匙放在收音机旁边。
谢谢你。 | 我们从去年秋天开始住在这条街上。
嗯，是的。 | 图书馆星期六六点钟关门。
你好，我叫安娜。 | 我住在港口附近的一座小房子里。
没问题。 | 你可以下个星期把书还给我。
对不起。 | 请问这座大楼的出口在哪里？
没错。 | 医生希望五月份再见你一次。
我不知道。 | 没有人告诉我今天要开会。
请稍等。 | 电梯坏了，我们只好走楼梯。
""",
    "ja": """
おはようございます。 | 四人のテーブルを予約したいのですが。
もちろんです。 | 大阪行きの電車は七番線から出ます。
ああ、そうですか。 | 兄はガレージで古い自転車を直しています。
少々お待ちください。 | 鍵はラジオの横に置いてあります。
ありがとうございます。 | 私たちは去年の秋からこの町に住んでいます。
ええ、そうです。 | 図書館は土曜日は六時に閉まります。
こんにちは、アンナです。 | 私は港の近くの小さな家に住んでいます。
大丈夫です。 | 本は来週返してくれればいいですよ。
すみません。 | この建物の出口はどこにありますか。
その通りです。 | 先生は五月にもう一度会いたいそうです。
わかりません。 | 今日の会議のことは誰も教えてくれませんでした。
ちょっと待って。 | エレベーターが故障したので階段を使いましょう。
""",
    "hi": """
सुप्रभात। | मैं चार लोगों के लिए एक मेज़ बुक करना चाहता हूँ।
ज़रूर। | दिल्ली की गाड़ी सात नंबर प्लेटफ़ॉर्म से जाती है।
अच्छा, समझ गया। | मेरा भाई पुरानी साइकिलें ठीक करता है।
एक मिनट रुकिए। | चाबियाँ रेडियो के पास रखी हैं।
बहुत धन्यवाद। | हम पिछले साल से इस गली में रहते हैं।
जी हाँ। | पुस्तकालय शनिवार को छह बजे बंद होता है।
नमस्ते, मेरा नाम अनु है। | मैं नदी के पास एक छोटे घर में रहती हूँ।
कोई बात नहीं। | आप किताब अगले हफ़्ते लौटा सकते हैं।
माफ़ कीजिए। | इस इमारत से बाहर जाने का रास्ता कहाँ है?
बिल्कुल सही। | डॉक्टर आपसे मई में फिर मिलना चाहते हैं।
मुझे नहीं पता। | आज की बैठक के बारे में किसी ने नहीं बताया।
कृपया रुकिए। | लिफ़्ट ख़राब है, हमें सीढ़ियों से जाना होगा।
""",
}

UTTERANCES: Mapping[str, tuple[Utterance, ...]] = {
    language: tuple(
        Utterance(language, *(part.strip() for part in line.split("|")))
        for line in texts.strip().splitlines()
    )
    for language, texts in _TEXTS.items()
}
"""A hundred, by primary subtag."""

COUNTS: Mapping[str, str] = {
    "en": "One, two, three, four.",
    "es": "Uno, dos, tres, cuatro.",
    "fr": "Un, deux, trois, quatre.",
    "it": "Uno, due, tre, quattro.",
    "pt": "Um, dois, três, quatro.",
}
"""Counts, which people repeat to try a microphone."""
