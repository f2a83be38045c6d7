"""Written texts and their spoken forms, language by language; the rows are grouped by language and region."""

from __future__ import annotations

import pytest

from kani.text.normalizer import NormalizerOptions, normalize
from kani.text.normalizer.number_words.languages import number_words
from kani.text.normalizer.number_words.words import NumberWords

READINGS = {
    "es": (
        (
            "El 3/4 a las 19:30 h, el Dr. Ruiz pagó 1.250,50 € (¡+12 %!) — más en https://ej.es/a_b",
            "El tres de abril a las diecinueve treinta, el doctor Ruiz pagó mil doscientos cincuenta euros "
            "con cincuenta céntimos (¡más doce por ciento!) — más en ej punto es barra a guion bajo b",
        ),
        ("3/4 de taza, ½ taza, 2 1/2 tazas", "tres cuartos de taza, media taza, dos y media tazas"),
        ("21 casas, 21 libros, 21. 200 m", "veintiuna casas, veintiún libros, veintiuno. doscientos metros"),
        ("3 M€, 1.000.000 € y 20k€", "tres millones de euros, un millón de euros y veinte mil euros"),
        ("siglo XXI, Felipe II, el XX Congreso", "siglo veintiuno, Felipe segundo, el vigésimo Congreso"),
        ("Viene de EE. UU., p. ej. Ana, etc.", "Viene de Estados Unidos, por ejemplo Ana, etcétera."),
        ("la ONU, el FBI y la OTAN", "la onu, el efe be i y la otan"),
        ("¡ATENCIÓN AL TREN! ¡NO!", "¡atención al tren! ¡no!"),
        ("a las 7:05 p. m. Luego", "a las siete cero cinco de la tarde. Luego"),
        ("De 9:00–17:00 y 9:00 - 17:00", "De nueve a diecisiete horas y nueve a diecisiete horas"),
        ("5 - 3 = 2 y 3 x 4", "cinco menos tres igual a dos y tres por cuatro"),
        ("¿¿Qué???!!! No......", "¿Qué?! No…"),
        ("v2.0.1 en 192.168.1.1", "versión dos punto cero punto uno en ciento noventa y dos punto "
         "ciento sesenta y ocho punto uno punto uno"),
        ("2024.", "dos mil veinticuatro."),
        ("\ue001 Fin", "Bloque de código. Fin"),
        ("la sra. gómez de ee. uu. llegó", "la señora gómez de Estados Unidos llegó"),
        ("fernando vii; a luis vi ayer", "fernando séptimo; a luis vi ayer"),
        ("siglos XII–XIV y el grupo D", "siglos doce a catorce y el grupo de"),
        ("3/4 l y 2 cdas. de miel", "tres cuartos de litro y dos cucharadas de miel"),
        ("20 millones t, 50 psi", "veinte millones de toneladas, cincuenta libras por pulgada cuadrada"),
        ("2,50 €/kg y $30 MXN", "dos euros con cincuenta céntimos por kilogramo y treinta pesos mexicanos"),
        ("gira 45° y sube al 2° piso", "gira cuarenta y cinco grados y sube al segundo piso"),
        ("40°25'13\" N", "cuarenta grados veinticinco minutos trece segundos ene"),
        ("Ley 14/2011, nota 7,5/10", "Ley catorce barra dos mil once, nota siete coma cinco sobre diez"),
        ("x <= 4, a != b, 2∗3", "x menor o igual que cuatro, a distinto de b, dos por tres"),
        ("UTC-4", "u te ce menos cuatro"),
        ("3.500", "tres mil quinientos"),
        (f"https://ej.es/{'a/' * 1000}", "ej punto es"),
    ),
    "es-MX": (
        ("1,250.50 y 3.5", "mil doscientos cincuenta punto cincuenta y tres punto cinco"),
    ),
    "es_MX": (
        ("3.500", "tres punto cinco cero cero"),
    ),
    "en": (
        ("On 3/4 at 7:30 p.m., Dr. Lee paid $1,250.50",
         "On March fourth at seven thirty p m, doctor Lee paid one thousand two hundred fifty dollars and "
         "fifty cents"),
        ("St. Paul and Elm St. Then", "saint Paul and Elm street. Then"),
        ("In 1999, the 1990s and '90s", "In nineteen ninety-nine, the nineteen nineties and nineties"),
        ("the part I like, Part I", "the part I like, Part one"),
        ("IT IS the IT team", "it is the I T team"),
        ("Call (555) 123-4567.", "Call five five five, one two three, four five six seven."),
        ("It's 5'10, a 10-year-old", "It's five foot ten, a ten year-old"),
        ("Python 3.10.12", "Python three dot ten dot twelve"),
        ("the mid-1960s, pre-1950, late-70s", "the mid nineteen sixties, pre nineteen fifty, late seventies"),
        ("OCT. 9 at 02:00 p.m.", "October ninth at two p m."),
        ("10:00 AM-6:30 PM, 8 a.m. - 1 p.m.", "ten a m to six thirty p m, eight a m to one p m."),
        ("louis xv and chapter ix", "louis the fifteenth and chapter nine"),
        ("Vitamin C, Part D", "Vitamin C, Part D"),
        ("$80k-$95k/yr", "eighty thousand dollars to ninety-five thousand dollars per year"),
        ("5 million km, 24/day", "five million kilometers, twenty-four per day"),
        ("HK$40 or $50 CAD", "forty Hong Kong dollars or fifty Canadian dollars"),
        ("1 tbsp. oil (30 ft.)", "one tablespoon oil (thirty feet)"),
        ("an 18th-century house", "an eighteenth century house"),
        ("localhost:3000/docs", "localhost colon three thousand slash docs"),
        ("if a >= b && get_name()", "if a is at least b and get name()"),
        ("1,000,000,000,000,000,000", "one quintillion"),
    ),
    "en-US": (
        ("4/3/2024", "April third, twenty twenty-four"),
    ),
    "en-GB": (
        ("4/3/2024", "the fourth of March, twenty twenty-four"),
    ),
    "fr": (
        ("21 maisons et 31 jours", "vingt et une maisons et trente et un jours"),
        ("1 heure, 81 tonnes", "une heure, quatre-vingt-une tonnes"),
        ("200 km, 80 €", "deux cents kilomètres, quatre-vingts euros"),
        ("1\u202f250,50 €", "mille deux cent cinquante euros et cinquante centimes"),
        ("3,5 M€ et 1 000 000 €", "trois virgule cinq millions d'euros et un million d'euros"),
        ("2,5 Md € sur 5 ans", "deux virgule cinq milliards d'euros sur cinq ans"),
        ("De 9h-17h à 1h30", "De neuf heures à dix-sept heures à une heure trente"),
        ("À 8 h 05, à 21h01", "À huit heures zéro cinq, à vingt et une heures une"),
        ("Au XIXe siècle, le Ier", "Au dix-neuvième siècle, le premier"),
        ("Napoléon Ier, Élisabeth Ire, Henri IV", "Napoléon premier, Élisabeth première, Henri quatre"),
        ("les 17/18 juin, le 1er mai", "les dix-sept, dix-huit juin, le premier mai"),
        ("le 10 000e visiteur", "le dix millième visiteur"),
        ("2 1/2, ½ tasse, 3/7", "deux et demi, une demi tasse, trois septièmes"),
        ("06.12.34.56.78", "zéro six, douze, trente-quatre, cinquante-six, soixante-dix-huit"),
        ("+33 6 12 34 56 78",
         "plus trente-trois, six, douze, trente-quatre, cinquante-six, soixante-dix-huit"),
        ("L'ONU, l'IA, d'Artagnan", "L'onu, l'i a, d'Artagnan"),
        ("QU'EST-CE QUE C'EST ?", "qu'est-ce que C'est ?"),
        ("aujourd'hui j'aime l'eau", "aujourd'hui j'aime l'eau"),
        ("n°5, N° 12", "numéro cinq, numéro douze"),
        ("M. Petit et M. le Maire", "monsieur Petit et monsieur le Maire"),
        ("3 l/100 km", "trois litres aux cent kilomètres"),
        ("les années '80", "les années quatre-vingts"),
    ),
    "fr-BE": (
        ("71, 76, 79, 80, 90, 91, 97, 2 070",
         "septante et un, septante-six, septante-neuf, quatre-vingts, nonante, nonante et un, nonante-sept, "
         "deux mille septante"),
    ),
    "fr-CH": (
        ("1'250.50 CHF", "mille deux cent cinquante francs suisses et cinquante centimes"),
    ),
    "de": (
        ("Am 3. Oktober, der 3. Oktober, 3. Oktober",
         "Am dritten Oktober, der dritte Oktober, dritter Oktober"),
        ("der 2. Stock, in der 2. Klasse, das 2. Haus",
         "der zweite Stock, in der zweiten Klasse, das zweite Haus"),
        ("ein 2. Kind, ein 2. Versuch", "ein zweites Kind, ein zweiter Versuch"),
        ("vom 3. bis 5. Mai, am 3. und 4. Mai", "vom dritten bis fünften Mai, am dritten und vierten Mai"),
        ("am 3.–5. Mai", "am dritten bis fünften Mai"),
        ("Heute ist der 3. Er kommt.", "Heute ist der dritte. Er kommt."),
        ("Er zählt von 1 bis 3. Danach", "Er zählt von eins bis drei. Danach"),
        ("Am 3.10. fahren wir", "Am dritten Oktober fahren wir"),
        ("am 3. 10. 2024, am 3.4.24", "am dritten Oktober zweitausendvierundzwanzig, am dritten April "
        "zweitausendvierundzwanzig"),
        ("Python 3.4.24 läuft", "Python drei Punkt vier Punkt vierundzwanzig läuft"),
        ("im XIX. Jahrhundert", "im neunzehnten Jahrhundert"),
        ("König Ludwig XIV. war da", "König Ludwig der vierzehnte war da"),
        ("Unter Ludwig XIV. war Elisabeth II. jung",
         "Unter Ludwig dem vierzehnten war Elisabeth die zweite jung"),
        ("für Karl V. kämpfen, der Hof Karls V. war",
         "für Karl den fünften kämpfen, der Hof Karls des fünften war"),
        ("1 Katze, 1 kleine Katze, 1 Haus, 1 Uhr", "eine Katze, eine kleine Katze, ein Haus, ein Uhr"),
        ("Abs. 1 Satz 2, im Jahr 1848 Revolution",
         "Absatz eins Satz zwei, im Jahr achtzehnhundertachtundvierzig "
        "Revolution"),
        ("1989 Menschen, seit 1989", "tausendneunhundertneunundachtzig Menschen, seit "
        "neunzehnhundertneunundachtzig"),
        ("3,5 Mio. Menschen, 1 Mio. Euro", "drei Komma fünf Millionen Menschen, eine Million Euro"),
        ("Es sind 3 Mio. Das ist viel.", "Es sind drei Millionen. Das ist viel."),
        ("5 Std. lang", "fünf Stunden lang"),
        ("die 80er Jahre, 1990er-Jahre", "die achtziger Jahre, neunzehnhundertneunziger-Jahre"),
        ("18-jährig, 3fach, 2x, 3-Zimmer-Wohnung", "achtzehnjährig, dreifach, zwei mal, drei-Zimmer-Wohnung"),
        ("2 1/2 Tassen, 1½ Liter, 1/2 Tasse", "zweieinhalb Tassen, eineinhalb Liter, eine halbe Tasse"),
        ("½ kg, 1/2 h, 3/4 l", "ein halbes Kilogramm, eine halbe Stunde, drei Viertel Liter"),
        ("1 mal, 3 Mal, zum 100. Mal", "ein mal, drei Mal, zum hundertsten Mal"),
        ("Di, 5.3., um 9:15 h, 3. Stock", "Di, fünfter März, um neun Uhr fünfzehn, dritter Stock"),
        ("2.30 Uhr, 13.45 Uhr, 9–17 Uhr",
         "zwei Uhr dreißig, dreizehn Uhr fünfundvierzig, neun bis siebzehn Uhr"),
        ("Königstr. 12 und Bahnhofstr. entlang", "Königstraße zwölf und Bahnhofstraße entlang"),
        ("1.250,50 €, 0,50 €", "tausendzweihundertfünfzig Euro fünfzig Cent, fünfzig Cent"),
        ("„Dr. Meier“, »Nr. 5«", "„Doktor Meier“, »Nummer fünf«"),
    ),
    "de-CH": (
        ("1'250.50 Fr.", "tausendzweihundertfünfzig Franken fünfzig Rappen."),
    ),
    "it": (
        ("1 anno, 1 casa, 1 studente, 1 zaino", "un anno, una casa, uno studente, uno zaino"),
        ("1 ora e 1 h", "un' ora e un' ora"),
        ("1 su 3, 21 case", "uno su tre, ventuno case"),
        ("½ tazza, 1/2 ora, 1 1/2", "mezza tazza, mezza ora, uno e mezzo"),
        ("alle 18.30, alle 1:30, ore 8.05", "alle diciotto e trenta, alle una e trenta, ore otto e cinque"),
        ("L'11 settembre, dell'8%", "L'undici settembre, dell'otto per cento"),
        ("nel XX secolo, sec. XIX", "nel ventesimo secolo, secolo diciannovesimo"),
        ("Luigi XIV, Elisabetta II, Pio IX", "Luigi quattordicesimo, Elisabetta seconda, Pio nono"),
        ("la II guerra mondiale", "la seconda guerra mondiale"),
        ("3,5 mln € e 2 mld di euro", "tre virgola cinque milioni di euro e due miliardi di euro"),
        ("1.250.000 km", "un milione duecentocinquantamila chilometri"),
        ("1.000.001", "un milione e uno"),
        ("il dott. Rossi, la sig.ra Neri", "il dottor Rossi, la signora Neri"),
        ("pane, ecc. Poi", "pane, eccetera. Poi"),
        ("347 1234567", "tre quattro sette, uno due tre quattro cinque sei sette"),
        ("gli anni '80, nel 44 a.C.", "gli anni ottanta, nel quarantaquattro avanti Cristo."),
        ("L'UE e l'ONU, C'È", "L'u e e l'onu, C'È"),
    ),
    "pt": (
        ("21 casas, 2 dias, 502 horas", "vinte e uma casas, dois dias, quinhentas e duas horas"),
        ("200 mil pessoas", "duzentas mil pessoas"),
        ("R$ 3,5 milhões e R$ 2 bi", "três vírgula cinco milhões de reais e dois bilhões de reais"),
        ("R$ 1.250,50", "mil duzentos e cinquenta reais e cinquenta centavos"),
        ("às 1h30, 00:15 e 21h01", "às uma hora e trinta, zero horas e quinze e vinte e uma horas e um"),
        ("das 9h-17h", "das nove horas a dezessete horas"),
        ("dia 3/4, 3/4 de xícara", "dia três de abril, três quartos de xícara"),
        ("1/2 hora, 1 1/2 xícara, 7/12", "meia hora, uma e meia xícara, sete doze avos"),
        ("1º de maio de 2024", "primeiro de maio de dois mil e vinte e quatro"),
        ("2024.03.15", "quinze de março de dois mil e vinte e quatro"),
        ("século XXI, século V", "século vinte e um, século quinto"),
        ("D. Pedro II, Luís XIV", "dom Pedro segundo, Luís catorze"),
        ("a II Guerra, o XX Congresso", "a segunda Guerra, o vigésimo Congresso"),
        ("CPF 123.456.789-09", "cê pê efe um dois três, quatro cinco seis, sete oito nove, zero nove"),
        ("(11) 91234-5678", "um um, nove um dois três quatro, cinco seis sete oito"),
        ("de 1990-1995", "de mil novecentos e noventa a mil novecentos e noventa e cinco"),
        ("na 2ª feira, nº5", "na segunda-feira, número cinco"),
        ("16 km e 1.000.000.000", "dezesseis quilômetros e um bilhão"),
    ),
    "pt-PT": (
        ("16 km e 1.000.000.000", "dezasseis quilómetros e mil milhões"),
    ),
    "ar": (
        ("عندي 3 سيارات و5 كتب", "عندي ثلاث سيارات وخمسة كتب"),
        ("11 طالبة و12 طالبا و8 سنوات", "إحدى عشرة طالبة واثنا عشر طالبا وثماني سنوات"),
        ("قرأت 200 صفحة و2000 كلمة", "قرأت مئتا صفحة وألفا كلمة"),
        ("1 $ و2 $ و3 $ و11 $ و200 $", "دولار واحد ودولاران وثلاثة دولارات وأحد عشر دولارا ومئتا دولار"),
        ("بعد 2 كم و15 كم و2.5 كم", "بعد كيلومترين وخمسة عشر كيلومترا واثنان فاصلة خمسة كيلومتر"),
        ("من 20 إلى 30، بين 10 و20", "من عشرين إلى ثلاثين، بين عشرة وعشرين"),
        ("مجموعة الـ20 والقرن الـ21 وبـ50", "مجموعة العشرين والقرن الواحد والعشرين وبخمسين"),
        ("٪50 و٣٫١٤ و١٬٢٥٠٬٠٠٠ و۲۵",
         "خمسون في المئة وثلاثة فاصلة أربعة عشر ومليون ومئتان وخمسون ألفا وخمسة وعشرون"),
        ("الساعة 5 والساعة 7:05", "الساعة الخامسة والساعة السابعة وخمس دقائق"),
        ("الساعة 7:30 م، 4:15 ص", "الساعة السابعة والنصف مساء، الرابعة والربع صباحا"),
        ("المسافة 7 م", "المسافة سبعة أمتار"),
        ("عام 1445 هـ الموافق 2024م",
         "عام ألف وأربعمئة وخمسة وأربعين هجري الموافق ألفين وأربعة وعشرين ميلادي"),
        ("10/12/1444 هـ", "العاشر من ذي الحجة عام ألف وأربعمئة وأربعة وأربعين هجري"),
        ("3 أبريل 2024 و3 رمضان", "الثالث من أبريل ألفين وأربعة وعشرين والثالث من رمضان"),
        ("لويس XIV، الفصل IV، المرحلة II", "لويس الرابع عشر، الفصل الرابع، المرحلة الثانية"),
        ("المادة 5 الفقرة 2", "المادة خمسة الفقرة اثنان"),
        ("1/4 و2/3 و3/8 و½", "ربع وثلثان وثلاثة أثمان ونصف"),
        ("½ kg و3/4 كم", "نصف كيلوغرام وثلاثة أرباع كيلومتر"),
        ("د. أحمد، ص. 25", "الدكتور أحمد، صفحة خمسة وعشرون"),
        ("جميــــل مر\u200cحبا \u200fنعم؟؟", "جميل مرحبا نعم؟"),
        ("مساءً شكرًا جدًّا", "مساءً شكرًا جدًّا"),
        ("1.250", "واحد فاصلة اثنان خمسة صفر"),
    ),
    "ar-MA": (
        ("1.250", "ألف ومئتان وخمسون"),
    ),
    "zh": (
        ("你好！！！……真的吗？？", "你好！…真的吗？"),
        ("我有 2 个苹果，很好~", "我有两个苹果，很好"),
        ("用iPhone15和Wi-Fi 6", "用iPhone十五和Wi-Fi 六"),
        ("2月2日2点2分，2号2楼，第2个，22个", "二月二日两点两分，二号二楼，第二个，二十二个"),
        ("3～5个，5-3=2，1月1日-5日", "三到五个，五减三等于二，一月一日到五日"),
        ("-3.5%，+86 138 1234 5678", "负百分之三点五，加八六幺三八幺二三四五六七八"),
        ("¥1,234.50，50元/月，$3.5万", "一千二百三十四点五元，五十元每月，三点五万美元"),
        ("10^8，½，007号，５㎏", "十的八次方，二分之一，零零七号，五公斤"),
        ("7:30 PM，8:00，1:02:03", "下午七点三十分，八点，一点零二分三秒"),
        ("10001000和1400000000", "一千万一千和十四亿"),
        ("身份证12345678901234567890", "身份证一二三四、五六七八、九零一二、三四五六、七八九零"),
    ),
    "ja": (
        ("2〜3人、10〜12個、2~3日", "フタリカラサンニン、ジューカラジューニコ、フツカカラミッカ"),
        ("1億2000万円、1.5億円、3千万円", "イチオクニセンマンエン、イッテンゴオクエン、サンゼンマンエン"),
        ("¥3,000〜¥5,000", "サンゼンエン カラ ゴセンエン"),
        ("漢字《かんじ》と明日（あした）、田中（パート）", "カンジとアシタ、田中（パート）"),
        ("東京〜大阪、すごい〜！", "東京カラ大阪、すごい！"),
        ("4/3(水)、4月20日", "シガツ ミッカ(水)、シガツ ハツカ"),
        ("ﾃﾞｰﾀﾍﾞｰｽ　２個", "データベース ニコ"),
        ("110番、1日1回、5月1日", "ヒャクトーバン、イチニチ イッカイ、ゴガツ ツイタチ"),
        ("100%、10%、8.5点", "ヒャクパーセント、ジュッパーセント、ハッテンゴテン"),
        ("90分、4分、3本、300本、6匹", "キュージュップン、ヨンプン、サンボン、サンビャッポン、ロッピキ"),
        ("14時間、17日、19歳、9月", "ジューヨジカン、ジューシチニチ、ジューキューサイ、クガツ"),
    ),
    "hi": (
        ("500 रु. दीजिए। डॉ. शर्मा 5 कि.मी. दूर।", "पाँच सौ रुपये दीजिए। डॉक्टर शर्मा पाँच किलोमीटर दूर।"),
        ("1/2 कप, 1/4, 2/3, 3/7", "आधा कप, एक चौथाई, दो तिहाई, तीन बटा सात"),
        ("₹0.50, ₹5 लाख, २०२४", "पचास पैसे, पाँच लाख रुपये, दो हज़ार चौबीस"),
        ("1ला, 2री, 4थे, 6ठी, 21वीं", "पहला, दूसरी, चौथे, छठी, इक्कीसवीं"),
    ),
    "tlh": (
        ("Hr. 21 !!! \ue001x", "Hr. 21 !!! x"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("language", "written", "spoken"),
    [(language, *reading) for language, readings in READINGS.items() for reading in readings],
)
def test_text_is_spoken_as_a_reader_would(language: str, written: str, spoken: str) -> None:
    assert normalize(written, 0, NormalizerOptions(language)).text == spoken


CARDINALS = {
    "hi": (
        (0, "", "शून्य"), (89, "", "नवासी"), (99, "", "निन्यानवे"), (100, "", "एक सौ"), (100_000, "", "एक लाख"),
        (12_345_678, "", "एक करोड़ तेईस लाख पैंतालीस हज़ार छह सौ अठहत्तर"), (10**9, "", "एक अरब"),
    ),
    "es": (
        (1, "", "uno"), (1, "m", "un"), (1, "f", "una"), (21, "m", "veintiún"), (21, "f", "veintiuna"),
        (200, "f", "doscientas"), (500, "f", "quinientas"), (100, "f", "cien"), (1001, "f", "mil una"),
        (21_000, "", "veintiún mil"), (31_000, "f", "treinta y un mil"), (101_000, "", "ciento un mil"),
        (200_200, "f", "doscientas mil doscientas"), (200_000_200, "f", "doscientos millones doscientas"),
        (21_000_000, "", "veintiún millones"), (1_000_000, "", "un millón"),
    ),
    "pt_BR": (
        (1, "m", "um"), (2, "f", "duas"), (2000, "f", "duas mil"), (21_000, "f", "vinte e uma mil"),
        (300, "f", "trezentas"), (2_000_200, "f", "dois milhões e duzentas"),
        (1_000_000_000, "", "um bilhão"),
    ),
    "de": (
        (1, "", "eins"), (7, "", "sieben"), (21, "", "einundzwanzig"), (100, "", "hundert"),
        (1100, "", "tausendeinhundert"), (101_000, "", "hunderteintausend"),
        (2_000_001, "", "zwei Millionen eins"),
    ),
    "it": (
        (3, "", "tre"), (23, "", "ventitré"), (103, "", "centotré"), (123, "", "centoventitré"),
        (108, "", "centotto"), (2000, "", "duemila"), (2_500_000, "", "due milioni cinquecentomila"),
    ),
    "ar": (
        (0, "", "صفر"), (2, "", "اثنان"), (3, "", "ثلاثة"), (10, "", "عشرة"), (11, "", "أحد عشر"),
        (18, "", "ثمانية عشر"), (21, "", "واحد وعشرون"), (100, "", "مئة"), (102, "", "مئة واثنان"),
        (3000, "", "ثلاثة آلاف"), (25_000, "", "خمسة وعشرون ألفا"), (200_000, "", "مئتا ألف"),
        (2_000_000, "", "مليونان"), (1_250_000, "", "مليون ومئتان وخمسون ألفا"), (0, "f", "صفر"),
        (2, "f", "اثنتان"), (3, "f", "ثلاث"), (10, "f", "عشر"), (11, "f", "إحدى عشرة"),
        (18, "f", "ثماني عشرة"), (21, "f", "إحدى وعشرون"), (100, "f", "مئة"), (102, "f", "مئة واثنتان"),
        (3000, "f", "ثلاثة آلاف"), (25_000, "f", "خمسة وعشرون ألف"), (200_000, "f", "مئتا ألف"),
        (2_000_000, "f", "مليونا"), (1_250_000, "f", "مليون ومئتان وخمسون ألف"),
    ),
    "sv": (
        (21, "", "tjugoett"),
    ),
}  # fmt: skip
"""By variety: a number, the gender of the counted noun, and its words."""

ORDINALS = {
    "es": (
        (1, "m", "primero"), (1, "f", "primera"), (1, "short", "primer"), (11, "m", "undécimo"),
        (13, "short", "decimotercer"), (21, "f", "vigésima primera"), (100, "m", "centésimo"),
        (1000, "m", "milésimo"), (2024, "m", "dos mil veinticuatro"),
    ),
    "fr": (
        (1, "f", "première"), (2, "seconde", "seconde"), (2, "f", "deuxième"), (5, "m", "cinquième"),
        (9, "m", "neuvième"), (21, "m", "vingt et unième"), (80, "m", "quatre-vingtième"),
        (200, "m", "deux centième"), (1000, "m", "millième"), (2_000_000, "m", "deux millionième"),
        (10, "plural", "dixièmes"),
    ),
    "de": (
        (1, "en", "ersten"), (7, "en", "siebten"), (21, "en", "einundzwanzigsten"),
        (100, "en", "hundertsten"), (1100, "en", "tausendeinhundertsten"),
    ),
    "it": (
        (3, "f", "terza"), (23, "f", "ventitreesima"), (103, "f", "centotreesima"),
        (123, "f", "centoventitreesima"), (108, "f", "centottesima"), (2000, "f", "duemillesima"),
        (2_500_000, "f", "due milioni cinquecentomila"),
    ),
}  # fmt: skip
"""By variety: a number, its form, and its words."""


def words_of(variety: str) -> NumberWords:
    return number_words(variety.partition("_")[0], variety)


@pytest.mark.parametrize(("variety", "rows"), CARDINALS.items())
def test_cardinals_agree_with_the_noun(variety: str, rows: tuple[tuple[int, str, str], ...]) -> None:
    assert [(number, form, words_of(variety).cardinal(number, form)) for number, form, _ in rows] == list(
        rows
    )


@pytest.mark.parametrize(("variety", "rows"), ORDINALS.items())
def test_ordinals_have_their_form(variety: str, rows: tuple[tuple[int, str, str], ...]) -> None:
    assert [(number, form, words_of(variety).ordinal(number, form)) for number, form, _ in rows] == list(rows)
