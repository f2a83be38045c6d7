"""The commonest words of languages in Latin letters, to tell short texts apart.

Per language: articles, pronouns, prepositions, conjunctions, question words; forms of to be, to have and
the like; numerals to ten, days, times of day; greetings, courtesies, short answers; everyday verbs, things
and adverbs. A word that several languages share is listed in each of them, and so does not decide between
them. Words of one letter are too ambiguous to be listed.
"""

from __future__ import annotations

import functools

_WORDS = """
es el la los las lo un una unos unas pero porque que qué quien quién quiénes como cómo cuando cuándo donde
es dónde cuanto cuánto cuántos cual cuál si sí no yo tú tu él ella ello usted ustedes nosotros nosotras
es vosotros ellos ellas me te se nos os le les mi mis tus su sus nuestro nuestra vuestro este esta esto estos
es estas ese esa eso aquel aquella al de del en con sin por para sobre entre hasta desde hacia según contra
es tras durante soy eres es somos sois son era fue ser estoy estás está estamos están estar estaba sido he
es has ha hemos han haber hay había tengo tienes tiene tenemos tienen tener hago haces hace hacen hacer voy
es vas va vamos van ir puedo puedes puede quiero quieres quiere sé sabes sabe digo dice dijo ver veo mira
es mire ven vengo viene dame dime deja llegar llega uno dos tres cuatro cinco seis siete ocho nueve diez
es lunes martes miércoles jueves viernes sábado domingo hoy ayer mañana ahora luego después antes siempre
es nunca aquí allí ahí muy más menos mucho mucha muchos muchas poco todo toda todos todas nada algo alguien
es nadie otro otra bien mal mejor así también tampoco ya aún todavía casi solo hola adiós gracias perdón
es perdona disculpe favor buenos buenas buen días tardes noches noche día tarde bienvenido bienvenida vale
es claro siento felicidades salud encantado saludos amigo amiga amigos señor señora chao chau casa agua
es tiempo hombre mujer niño niña niños madre padre hijo hermano calle ciudad mundo vida año hora minutos cosa
es bueno buena malo grande pequeño nuevo nueva bonito feliz hambre sed frío calor comida café perro gato
es puerta ventana vivo vive trabajo trabaja habla hablo hablar español necesito necesita gusta espera abre
es cierra pon quita llama llamo
es listo quizás genial acuerdo entendido vaya exactamente importa mensaje enviado

en the an and or but because that who whom whose what which when where why how if not no yes yeah you he she
en it we they me him her us them my your his its our their mine yours this these those one ones here there to
en of in on at by for with without from into onto about over under between until since after before during up
en down out off am is are was were be been being have has had having do does did doing done will would shall
en should can could may might must go goes going went gone get gets got make made say says said see saw know
en knows knew think want wants need needs like likes love come comes came take give gave tell told let look
en looks feel feels put keep don ll re ve isn aren wasn doesn didn won couldn two three four five six seven
en eight nine ten monday tuesday wednesday thursday friday saturday sunday today yesterday tomorrow now then
en later soon always never often again very much many more most less little few all some any every nothing
en something everything someone nobody another other well good better best bad so too also still already just
en only even ever really please thanks thank hello hi hey bye goodbye sorry welcome okay excuse morning
en afternoon evening night day friend friends dear sir madam congratulations cheers greetings house home
en water time man woman child children mother father son brother sister street city world life year hour
en minute minutes thing things big small new old nice happy hungry thirsty cold hot warm food coffee dog cat
en door window live lives work works speak speaks speaking talk english help wait open close turn call play
en stop start maybe great alright fine yet exactly nope mind set started message sent

fr le la les un une des du de et ou mais parce car que qu qui quoi quand où comment pourquoi combien quel
fr quelle quels quelles si oui non je tu il elle on nous vous ils elles me te se lui leur leurs moi toi soi
fr eux mon ma mes ton ta tes son sa ses notre nos votre vos ce cet cette ces cela ça ceci celui celle en au
fr aux dans avec sans pour par sur sous entre vers chez depuis pendant jusqu contre avant après suis es est
fr sommes êtes sont étais était étaient être été ai as avons avez ont avoir avait fais fait faites font faire
fr vais vas va allons allez vont aller peux peut pouvez pouvoir veux veut voulez vouloir sais sait savoir
fr dois doit dit dis dire vois voir viens vient venez venir prends donne donnez faut mets deux trois quatre
fr cinq six sept huit neuf dix lundi mardi mercredi jeudi vendredi samedi dimanche aujourd hui hier demain
fr maintenant bientôt puis toujours jamais souvent encore ici là très trop plus moins beaucoup peu tout toute
fr tous toutes rien quelque chose personne autre bien mal mieux ainsi aussi déjà seulement ne pas bonjour
fr bonsoir bonne bon salut merci pardon plaît désolé désolée bienvenue revoir adieu accord enchanté coucou
fr soirée journée nuit jour soir matin ami amie amis monsieur madame félicitations santé maison eau temps
fr homme femme enfant enfants mère père fils frère rue ville monde vie an année heure heures minute minutes
fr grand petit nouveau nouvelle beau belle heureux faim soif froid chaud café chien chat porte fenêtre habite
fr travaille parle parlez parler français besoin aide aime attends attendez ouvre ferme appelle appelez
fr arrive super compris tant pis exactement ouais message

it il lo la gli le un uno una ed ma perché che chi cosa quando dove come quanto quanta quanti quale se sì no
it io tu lui lei noi voi loro mi ti si ci vi me te ne mio mia miei mie tuo tua tuoi suo sua suoi nostro
it nostra vostro questo questa questi queste quello quella quelli quel di del dello della dei degli delle al
it allo alla ai agli alle da dal dalla in nel nella nei con senza per su sul sulla tra fra fino dopo prima
it durante contro sono sei siamo siete era erano essere stato stata ho hai ha abbiamo avete hanno avere aveva
it faccio fai fa fanno fare vado vai va andiamo vanno andare posso puoi può possiamo potere voglio vuoi vuole
it so sai sa sapere dico dice dire vedo vedi vede vedere vengo vieni viene dammi dimmi sto stai sta stiamo
it stanno devo deve due tre quattro cinque sette otto nove dieci lunedì martedì mercoledì giovedì venerdì
it sabato domenica oggi ieri domani adesso ora poi presto sempre mai ancora qui qua lì là molto molta molti
it più meno poco troppo tutto tutta tutti tutte niente nulla qualcosa qualcuno nessuno altro altra bene male
it meglio così anche già solo non ciao salve buongiorno buonasera buonanotte buona buon arrivederci grazie
it prego scusa scusi favore piacere benvenuto benvenuti mattina sera notte giorno giornata pomeriggio amico
it amica amici signore signora auguri dispiace certo casa acqua tempo uomo donna bambino bambini madre padre
it figlio fratello strada città mondo vita anno ore minuti grande piccolo nuovo nuova bello bella felice fame
it sete freddo caldo caffè cane gatto porta finestra vivo abito abita lavoro lavora parla parlo parlare
it italiano bisogno aiuto aspetta apri chiudi chiama chiamo arriva
it fatto forse ottimo accordo capito esattamente importa messaggio

pt os as um uma uns umas ou mas porque que quem quando onde como quanto quanta quantos qual se sim não eu tu
pt você vocês ele ela nós eles elas me te lhe lhes nos mim ti meu minha meus minhas teu tua seu sua seus suas
pt nosso nossa este esta isto esse essa isso estes aquele aquela aquilo de do da dos das dum em no na nas num
pt numa com sem por pelo pela para pra pro sobre entre até desde contra depois antes durante ao aos às sou és
pt somos são era foi ser estou estás está estamos estão estar estava sido tenho tens tem temos têm ter tinha
pt há faço faz fazem fazer vou vais vai vamos vão ir posso pode podem poder quero quer querem querer sei sabe
pt saber digo diz disse ver vejo vê vem venho vir dê dá dar diga deixa fica dois duas três quatro cinco seis
pt sete oito nove dez segunda terça quarta quinta sexta sábado domingo feira hoje ontem amanhã agora logo
pt sempre nunca aqui ali lá cá aí muito muita muitos muitas mais menos pouco tudo todo toda todos todas nada
pt algo alguém ninguém outro outra bem mal melhor assim também já ainda só quase olá oi obrigado obrigada
pt desculpe desculpa favor bom boa bons boas dia dias tarde noite tchau adeus vindo vindos prazer parabéns
pt saúde amigo amiga amigos senhor senhora sinto claro abraço manhã casa água tempo homem mulher menino
pt menina criança crianças mãe pai filho irmão rua cidade mundo vida ano hora horas minutos coisa grande
pt pequeno novo nova bonito feliz fome sede frio calor café cachorro cão gato porta janela moro mora trabalho
pt trabalha fala falo falar português preciso precisa gosto espera espere abra abre feche chama chamo
pt pronto talvez ótimo entendi exatamente beleza mensagem

de der die das den dem des ein eine einen einem einer und oder aber weil dass wer wen wem was wann wo wohin
de woher wie warum wieso welche welcher welches wenn ob ja nein nicht kein keine ich du er sie es wir ihr
de mich dich sich uns euch mir dir ihm ihn ihnen mein meine meinen dein deine sein seine unser unsere euer
de ihre ihren dies diese dieser dieses jene in im an am auf aus bei beim mit ohne von vom zu zum zur für über
de unter zwischen bis seit nach vor während gegen durch um bin bist ist sind seid war waren wäre gewesen habe
de hast hat haben habt hatte hätte werde wird werden kann kannst können könnt muss müssen will willst wollen
de möchte möchten soll sollen darf mag mache macht machen gehe gehen geht komme komm kommst kommt kommen weiß
de wissen sage sagt sehen gib gibt geben eins zwei drei vier fünf sechs sieben acht neun zehn montag dienstag
de mittwoch donnerstag freitag samstag sonntag heute gestern morgen jetzt dann später bald immer nie oft
de wieder hier da dort sehr viel viele mehr weniger wenig alle alles etwas nichts jemand niemand andere gut
de besser schlecht so auch noch schon nur fast wohl gern gerne hallo guten gute guter tag abend nacht tschüss
de servus moin danke dank bitte entschuldigung willkommen wiedersehen freut grüß grüße herr frau freund
de freunde freundin herzlichen glückwunsch prost leid klar haus hause wasser zeit mann kind kinder mutter
de vater sohn bruder straße stadt welt leben jahr stunde uhr minuten groß klein neu schön glücklich hunger
de durst kalt warm essen kaffee hund katze tür fenster wohne wohnt arbeite arbeitet spreche spricht sprechen
de deutsch brauche hilfe warte warten mach heiße heißt liebe ruf
de vielleicht super erledigt ordnung verstanden genau jederzeit nee nachricht

nl de het een en of maar omdat dat die wie wat wanneer waar hoe waarom welke als niet geen ja nee ik jij je
nl hij zij ze wij we jullie mij me jou hem haar ons onze hen mijn jouw zijn hun dit deze er in op aan bij met
nl zonder van voor uit naar over onder tussen tot sinds na tegen door om te ben bent is was waren wezen heb
nl hebt heeft hebben had word wordt worden kan kunnen kun moet moeten wil willen zal zullen mag doe doet doen
nl ga gaat gaan kom komt komen weet weten zeg zegt zie zien geef geeft twee drie vier vijf zes zeven acht
nl negen tien maandag dinsdag woensdag donderdag vrijdag zaterdag zondag vandaag gisteren morgen nu dan later
nl altijd nooit vaak weer hier daar heel erg veel meer minder weinig alle alles iets niets iemand niemand
nl ander goed beter slecht zo ook nog al alleen hallo hoi dag goedemorgen goedemiddag goedenavond goedendag
nl goedenacht welkom doei dank bedankt alstublieft alsjeblieft sorry graag vriend meneer mevrouw
nl gefeliciteerd huis thuis water tijd man vrouw kind kinderen moeder vader straat stad wereld leven jaar uur
nl groot klein nieuw mooi honger dorst koud warm hond kat deur raam woon werk spreek heet
nl klaar misschien geweldig prima begrepen precies jawel gedaan laat bericht

ca el la els les un una uns però perquè que què qui quan on com quant quina quin si sí no jo tu ell ella
ca nosaltres vosaltres ells em et es ens us li meu meva teu teva seu seva nostre aquest aquesta això aquell
ca al als de del dels en amb sense per sobre entre fins des cap soc sóc ets és som són era ser estic estàs
ca està estem estan he has ha hem han tinc tens té tenim tenen faig fas fa fem fan vaig vas va anem van puc
ca pots pot vull vols vol sé saps sap dos dues tres quatre cinc sis set vuit nou deu dilluns dimarts dimecres
ca dijous divendres dissabte diumenge avui ahir demà ara després sempre mai aquí allà molt molta més menys
ca poc tot tota tots res alguna algú ningú altre bé mal millor així també encara ja només hola adéu gràcies
ca merci perdó plau bon bona dia tarda nit dies benvingut benvinguda aviat amic amics senyor senyora casa
ca aigua temps home dona nen nena mare pare fill germà carrer ciutat món vida any hora gran petit bonic feliç
ca gana fred calor gos gat porta finestra visc parlo català molts anys

pl oraz lub albo ale bo że co kto kiedy gdzie jak dlaczego ile który która jeśli czy nie tak ja ty on ona ono
pl my wy oni mnie mi cię ci go jej nas was ich mój moja twój twoja swój nasz ten ta to te tam tu we ze na do
pl od dla po przed przy przez pod nad bez za jestem jesteś jest jesteśmy są był była było być mam masz ma
pl mamy mają mieć mogę możesz może chcę chcesz chce wiem wiesz wie idę idzie robi robić się już jeszcze tylko
pl bardzo dużo mało więcej wszystko nic coś ktoś nikt inny dobrze źle lepiej też zawsze nigdy dzisiaj dziś
pl wczoraj jutro teraz potem jeden dwa trzy cztery pięć poniedziałek wtorek środa czwartek piątek sobota
pl niedziela cześć hej dzień dobry dobra wieczór dobranoc dziękuję dzięki proszę przepraszam widzenia witaj
pl witam miło pan pani dom woda czas człowiek kobieta dziecko matka ojciec ulica miasto świat życie rok
pl godzina zimno głodny gotowe świetnie porządku rozumiem super dokładnie wiadomość drzwi skąd

sv och eller men för att som vem vad när var hur varför vilken om inte nej ja jag du han hon den det vi ni de
sv mig dig sig honom henne oss er dem min mitt din ditt sin vår deras denna detta en ett på av med utan till
sv från över under mellan efter före är vara varit har hade ha ska skulle kan kunde vill ville måste får gör
sv göra går gå kommer vet ser säger två tre fyra fem sex sju åtta nio tio måndag tisdag onsdag torsdag fredag
sv lördag söndag idag igår imorgon nu sedan alltid aldrig här där mycket många mer mindre lite alla allt
sv något ingenting ingen annan bra bättre så också redan bara hej hejdå god morgon kväll natt dag tack snälla
sv ursäkta förlåt välkommen vän hus hem vatten tid man kvinna barn mor far gata stad värld liv år timme stor
sv liten ny vacker hungrig kallt hund katt dörr fönster heter mår

da og eller men fordi at som hvem hvad hvornår hvor hvordan hvorfor hvilken hvis ikke nej ja jeg du han hun
da den det vi de mig dig sig ham hende os jer dem min mit din dit sin vores deres denne dette en et på af med
da uden til fra over under mellem efter før er var være været har havde have skal skulle kan kunne vil ville
da må får gør gøre går gå kommer ved ser siger to tre fire fem seks syv otte ni ti mandag tirsdag onsdag
da torsdag fredag lørdag søndag dag morgen nu så altid aldrig her der meget mange mere mindre lidt alle alt
da noget intet ingen anden godt bedre også allerede kun hej farvel god godmorgen godaften goddag godnat tak
da venligst undskyld velkommen ven hus hjem vand tid mand kvinde barn mor far gade by verden liv år time stor
da lille ny smuk sulten koldt hund kat dør vindue hedder

nb og eller men fordi at som hvem hva når hvor hvordan hvorfor hvilken hvis ikke nei ja jeg du han hun den
nb det vi dere de meg deg seg ham henne oss dem min mitt din ditt sin vår deres denne dette en ei et på av
nb med uten til fra over under mellom etter før er var være vært har hadde ha skal skulle kan kunne vil ville
nb må får gjør gjøre går gå kommer vet ser sier to tre fire fem seks sju åtte ni ti mandag tirsdag onsdag
nb torsdag fredag lørdag søndag dag morgen nå så alltid aldri her der mye mange mer mindre litt alle alt noe
nb ingenting ingen annen bra godt bedre også allerede bare hei god morn kveld natt takk tusen vennligst
nb unnskyld velkommen venn hus hjem vann tid mann kvinne barn mor far gate by verden liv år time stor liten
nb ny vakker sulten kaldt hund katt dør vindu heter gratulerer

ro și sau dar pentru că ce cine când unde cum de cât care dacă nu da eu tu el ea noi voi ei ele mă te se ne
ro vă îi mi îmi meu mea tău ta său sa nostru acest această asta acela un unei cel cea la în din cu fără pe
ro peste între până după înainte sunt ești este suntem sunteți era fi fost am ai are avem aveți au pot poți
ro poate vreau vrei vrea știu știi știe fac faci face merg merge vin vine doi trei patru cinci luni marți
ro miercuri joi vineri sâmbătă duminică azi astăzi ieri mâine acum apoi mereu niciodată aici acolo foarte
ro mult multe mulți mai puțin tot toate nimic ceva cineva nimeni alt bine rău așa deja doar salut bună ziua
ro dimineața seara noapte noaptea revedere mulțumesc rog scuze pardon bun venit prieten domnule casă apă timp
ro om femeie copil mamă tată stradă oraș lume viață an ani ora mare mic nou frumos foame frig câine pisică
ro ușa fereastra

tr ve veya ama çünkü ki kim ne zaman nerede nasıl neden niçin kaç hangi eğer değil evet hayır ben sen biz siz
tr onlar beni seni onu bana sana ona bizim benim senin onun bu şu bir iki üç dört beş altı yedi sekiz dokuz
tr on ile için gibi kadar sonra önce var yok mi mı mu mü da de çok az daha en her hepsi şey hiç biri kimse
tr başka iyi kötü böyle şimdi bugün dün yarın hep burada orada merhaba selam günaydın akşamlar geceler günler
tr teşekkür teşekkürler ederim ederiz lütfen affedersiniz özür hoş geldin geldiniz güle nasılsın nasılsınız
tr tamam ev eve su adam kadın çocuk anne baba şehir dünya hayat yıl saat büyük küçük yeni güzel aç soğuk
tr köpek kedi kapı pencere istiyorum biliyorum bilmiyorum

cs nebo ale protože že co kdo kdy kde jak proč kolik který jestli když ne ano já ty on ona ono my vy oni mě
cs mi tě ti ho ji nás vás jich můj moje tvůj tvoje svůj náš ten ta to tento ve se si ze na do od pro po před
cs při přes pod bez za jsem jsi je jsme jste jsou byl byla bylo být mám máš má máme mají mít můžu můžeš může
cs chci chceš chce vím víš ví jdu jde dělá už ještě jen jenom velmi moc málo více všechno nic něco někdo
cs nikdo jiný dobře špatně lépe také vždy nikdy dnes včera zítra teď potom jeden dva tři čtyři pět pondělí
cs úterý středa čtvrtek pátek sobota neděle ahoj dobrý den dobré dobrou ráno večer noc děkuji díky prosím
cs promiňte shledanou vítejte dům voda čas člověk žena dítě matka otec ulice město svět život rok hodina
cs velký hlad zima pes

sk alebo ale pretože že čo kto kedy kde ako prečo koľko ktorý ak keď nie áno ja ty on ona ono my vy oni ma mi
sk ťa ti ho ju nás vás ich môj moja moje tvoj tvoja svoj náš ten tá to tento vo so sa si zo na do od pre po
sk pred pri cez pod bez za som je sme ste sú bol bola bolo byť mám máš má máme majú mať môžem môžeš môže
sk chcem chceš chce viem vieš vie idem ide robí už ešte len iba veľmi veľa málo viac všetko nič niečo niekto
sk nikto iný dobre zle lepšie tiež vždy nikdy dnes včera zajtra teraz potom jeden dva tri štyri päť pondelok
sk utorok streda štvrtok piatok sobota nedeľa ahoj dobrý deň dobré dobrú ráno večer noc ďakujem vďaka prosím
sk prepáčte dovidenia vitajte dom voda čas človek žena dieťa matka otec ulica mesto svet život rok hodina
sk veľký hlad zima pes neviem

hr ili ali jer da što tko kada kad gdje kako zašto koliko koji ako ne je nije ja ti on ona ono mi vi oni mene
hr me te ga nju nas vas ih moj moja tvoj tvoja svoj naš ovaj ova ovo taj ta to sa se iz na do od za po pred
hr pri preko pod bez sam si smo ste su bio bila bilo biti imam imaš ima imamo imaju mogu možeš može želim
hr hoću znam znaš zna idem ide radi već još samo vrlo jako puno malo više sve ništa nešto netko nitko drugi
hr dobro loše bolje također uvijek nikad danas jučer sutra sada onda jedan dva tri četiri pet ponedjeljak
hr utorak srijeda četvrtak petak subota nedjelja bok zdravo dobar dan jutro večer noć laku hvala molim
hr oprostite doviđenja dobrodošli drago kuća kući voda vrijeme čovjek žena dijete majka otac ulica grad
hr svijet život godina sat velik gladan hladno pas vrata prozor

hu az egy és vagy de mert hogy ki mi mikor hol hogyan miért hány melyik ha nem igen én te ti ők engem téged
hu őt minket ez ezt azt itt ott van vannak volt lesz lenni vagyok vagyunk nincs kell lehet akarok akar
hu szeretem szeretlek tudom tudod tudja megy megyek jön jól rosszul már még csak nagyon sok kevés több minden
hu semmi valami valaki senki más is mindig soha ma tegnap holnap most aztán kettő két három négy öt hétfő
hu kedd szerda csütörtök péntek szombat vasárnap szia sziasztok helló jó napot reggelt estét éjszakát
hu köszönöm kérem bocsánat viszlát viszontlátásra üdvözlöm ház víz idő ember nő gyerek anya apa utca város
hu világ élet év óra nagy kicsi új szép éhes hideg kutya

fi ja tai mutta koska että kuka mikä mitä milloin missä miten miksi kuinka jos ei en et emme kyllä joo minä
fi sinä hän me te he minun sinun hänen meidän minulla sinulla tämä tuo se nämä on olen olet olemme ovat oli
fi olla ollut voin voi haluan tiedän tulen tulee menen menee kanssa ilman jälkeen ennen hyvin huonosti paljon
fi vähän enemmän kaikki mitään jotain joku muu myös aina koskaan tänään eilen huomenna nyt sitten täällä
fi siellä yksi kaksi kolme neljä viisi maanantai tiistai keskiviikko torstai perjantai lauantai sunnuntai hei
fi moi terve hyvää hyvä huomenta päivää iltaa yötä kiitos anteeksi näkemiin tervetuloa ole talo vesi aika
fi mies nainen lapsi äiti isä katu kaupunki maailma elämä vuosi iso pieni uusi kaunis nälkä kylmä koira kissa

id dan atau tetapi tapi karena bahwa yang siapa apa kapan mana bagaimana mengapa kenapa berapa jika kalau
id tidak bukan ya saya aku kamu anda dia kami kita mereka ini itu di ke dari pada dengan tanpa untuk oleh
id sampai setelah sebelum adalah ada akan sudah belum sedang bisa harus mau ingin tahu pergi datang satu dua
id tiga empat lima senin selasa rabu kamis jumat sabtu minggu hari kemarin besok sekarang nanti selalu sini
id sana sangat banyak lebih sedikit semua sesuatu lain baik buruk juga masih hanya halo hai selamat pagi
id siang sore malam tinggal jalan jumpa kabar terima kasih tolong maaf permisi rumah air waktu orang anak ibu
id bapak kota dunia hidup tahun jam besar kecil baru lapar dingin

vi và hoặc nhưng vì rằng ai gì nào khi đâu sao bao nhiêu nếu không có phải vâng tôi bạn anh chị em nó chúng
vi ta họ này đó kia đây của trong trên dưới với từ đến cho là được đã đang sẽ muốn biết đi làm một hai ba bốn
vi năm thứ chủ nhật hôm nay qua ngày mai bây giờ luôn rất nhiều ít hơn tất cả mọi khác tốt cũng vẫn chỉ xin
vi chào tạm biệt cảm ơn lỗi mừng buổi sáng tối chiều ngon nhà nước thời gian người con mẹ bố thành phố thế
vi giới đời lớn nhỏ mới đẹp khỏe
"""


@functools.cache
def languages_by_word() -> dict[str, frozenset[str]]:
    """Languages (primary subtags) by each word, in lower case, that is among their commonest."""
    having: dict[str, set[str]] = {}
    for line in _WORDS.split("\n"):
        language, _, words = line.partition(" ")
        for word in words.split():
            having.setdefault(word, set()).add(language)
    return {word: frozenset(languages) for word, languages in having.items()}


@functools.cache
def listed_languages() -> frozenset[str]:
    """The languages (primary subtags) with known commonest words."""
    return frozenset().union(*languages_by_word().values())
