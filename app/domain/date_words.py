"""Words in written dates: AM/PM designators and month names.

Made by scripts/date_words.py from the CLDR data of Babel: do not edit. Keys are as `word_key` returns them.
"""

# ruff: noqa: RUF001, SIM905

AM_WORDS = frozenset(
    (
        "adduha ag am amvormittag an ankstāinan antemidí ap atm banhaet bn braxkndaax comme damanhã de "
        "delamañana delmatin dinda dop dopoldne dopołdnja dopołedniŏ eparadites fh fm ft förmiddag fọmọ́nin "
        "gh goöň göň günortadanöň hengihengi hh hoseng iarmade ib ibikɛ̂glà icheheavo idiɓa im isuk "
        "iđitbeaivet iđitbeaivi ka kangama karoon ki kiroko kiɛmɛ́ɛm krn kíkíríg lb leebi lumalwak lwamilawu "
        "ma makeo mambia manhã maná mat matin mañana mbaʼámbaʼ mbaꞌmbaꞌ moies muhi munkyo nd ntufat ntɔ́ngɔ́ "
        "nụtụtụ od pagisiang pamilau paradite pd pg pgsg piopensuno priekšp priekšpusdiena priekšpusdienā "
        "priešpiet prijepodne prīškpušdīnē rn rw rũ sa saaku safiya sf sokallim soodo sub subaka subbaahi "
        "sárúwá taparachu tesiran tifawt to too uhrvörmiddaachs ulloqeqqatatungaa uluchelo utuko vaasisu vm "
        "vorm vormittag vörmeddaach wd wichishu yb zdatazal zmu àárɔ̀ àárọ̀ öö ĩyakwakya ŋdi ǁgoagas "
        "ɛnkakɛnyá ʊshilèkʊboɖu πμ ам апоўначы дп обедтэикеле преподне претпл пријеподне проб таңкы то тң эи "
        "үө ӕмбисбоныразмӕ פֿאַרמיטאָג اےایم بن تد ص صباحا صباحًا صبحمنجهند غم قبلازظهر قظ چب چۈشتىنبۇرۇن ܩܛ "
        "ߛ एएम तडके दुपहरब्रोंठ पूर्वाह्न फुं भोर भ्यागा येएम सकाळीं सबेरे सवेर सुबुहजा এএম নুমাং ਪੂਦੁ ଏଏମ "
        "ପୂର୍ବାହ୍ନ ఎఎమ్ පෙව ก่อนเที่ยง ກ່ອນທ່ຽງ སྔཆ སྔདྲོ နံနက် ማለዶ ቀደምሰርምዕል ቅቀ ጥዋት ጽባሕ ፋዱስጃብ ᏌᎾᎴ ᐁᒼ ᐊᒼ ᠦᠥ "
        "ᱥᱮᱛᱟᱜ ⵜⵉⴼⴰⵡⵜ 上午 午前 ꎸꄑ 오전 𐐰𐑋 𐑨𐑥 𞤢𞤰 "
    ).split()
)

PM_WORDS = frozenset(
    (
        "ak akasuba aluula amnamittag anw banringzgvaq baubaukndaax carra ch chilo cɛɛ́nko datarde delatarde "
        "desira dilolo du ea eahketbeaivet eahketbeaivi eb ebongi ebyámu efiafi eftermade eftermiddag eh "
        "eigulo em ep epasdites ew fi fọívnin gd gm gosoň gsoň günortadansoň hawwaro hwaĩinĩ ichamthi in "
        "iɓugajɔp ja kikiiɗe kingoto kisɛ́ndɛ koosk kooskoliny kugú kyiukonyi lilli lk lumalwap makaaripi "
        "mchochill md mo mog mpókwa muu nabali nabalị nam namittag ncwònzém ngo ngəgógəle nm nommendaach "
        "nomëttes ntmeddit nyiaghuo odp ot pamunyi papussideinan pasdite pashamihe piecpušdīnē pipinisuno pm "
        "pn pop popiet popodne popoldne popołdnju popołedniu posmidí ptg ptm pēcp pēcpusd pēcpusdiena "
        "pēcpusdienā sanje shwane sn soir sorémalem srmlm tadggʷat tarde teipa thapama tk tŋ uhrnommendaachs "
        "uk ulloqeqqatakingorna wb wengi wótp wótpołdnja yamma yh ym zaarikayb zmw ös ĩyawĩoo ŋkambɔ́tnji ũg "
        "ǃuias ɔ̀sán ɛndámâ ɣetrɔ ʊshilèkʊsasʊ μμ апоўдні обедтэмейле пм попл поподне послијеподне пп слоб тк "
        "түштөнкийинки эк үх ӕмбисбоныфӕстӕ נאָכמיטאָג بظ بعدازظهر تك دن شاممنجهند غو م مساء مساءً منجهندشام "
        "پیایم چك چۈشتىنكېيىن ܒܛ ߥ अपराह्न दपेहरासंजा दपैहरबाद दुपहरपतॖ पीएम बेलासे शामजा सञ सांजे सांझ सांम "
        "পিএম ਬਾਦੁ ଅପରାହ୍ନ ପିଏମ పిఎమ్ පව หลังเที่ยง ຫຼັງທ່ຽງ ཕྱིཆ ཕྱིདྲོ ညနေ ሓቆስርምዕል ምሴት ቃማ ከሰዓት ድቀ ፋዱስደምቢ "
        "ᏒᎯᏱᎢ ᏒᎯᏱᎢᏗᏢ ᐲᒼ ᠦᠬᠣ ᱧᱤᱫᱟᱹ ḍeffiraza ọ̀sán ⵜⴰⴷⴳⴳⵯⴰⵜ 下午 午後 ꁯꋒ 오후 𐐹𐑋 𐑐𐑥 𞤩𞤰 "
    ).split()
)

MONTHS = {
    word: number
    for number, words in enumerate(
        (
            "degen degener ene enero gen gener gennaio ian ianuarie jaan jaanuar jan janeiro januar januari "
            "january január januára janv janvier janvāris led leden ledna oca ocak saus sausio sausis sij "
            "siječanj siječnja sty styczeń stycznia tammi tammikuu tammikuuta urt urtarrila xan xaneiro ιαν "
            "ιανουάριοσ ιανουαρίου січ січень січня янв январь января яну януари јан јануар јануари ",
            "defebr defebrer feb febbraio febr febreiro febrer febrero februar februari februarie february "
            "február februára februāris fev fevereiro févr février helmi helmikuu helmikuuta lut lutego luty ots "
            "otsaila vas vasario vasaris veebr veebruar velj veljača veljače úno únor února şub şubat φεβ "
            "φεβρουάριοσ φεβρουαρίου лют лютий лютого феб фебруар фев февр февраль февраля февруари ",
            "bře březen března demarç kov kovas kovo maalis maaliskuu maaliskuuta maart mac mar marca march marec "
            "maret mars mart martie marts martxoa marzec marzo març março mrt márc március mär märts märz ožu "
            "ožujak ožujka μάρ μάρτιοσ μαρ μαρτίου бер березень березня мар март марта ",
            "abr abril api apirila apr april aprile aprilie aprill apríl apríla aprīlis avr avril bal balandis "
            "balandžio dabr dabril dub duben dubna huhti huhtikuu huhtikuuta kwi kwiecień kwietnia nis nisan tra "
            "travanj travnja ápr április απρ απρίλιοσ απριλίου апр апрель апреля април квіт квітень квітня ",
            "demaig geg gegužė gegužės kvě květen května mag maggio mai maiatza maig maijs maio maj maja may mayo "
            "mayıs mei máj mája május svi svibanj svibnja touko toukokuu toukokuuta μάι μάιοσ μαΐ μαΐου май "
            "мая мај трав травень травня ",
            "birž birželio birželis cze czerwca czerwiec dejuny eka ekaina giu giugno haz haziran iun iunie juin "
            "jun june junho juni junij junio juny juuni jún júna június jūn jūnijs kesä kesäkuu kesäkuuta lipanj "
            "lipnja xuño červen června čvn ιουν ιουνίου ιούν ιούνιοσ июн июнь июня черв червень червня юни јун "
            "јуни ",
            "dejul dejuliol heinä heinäkuu heinäkuuta iul iulie juil juillet jul julai julho juli julij julio "
            "juliol july juuli júl júla július jūl jūlijs liep liepa liepos lipca lipiec lug luglio srpanj srpnja "
            "tem temmuz uzt uztaila xul xullo července červenec čvc ιουλ ιουλίου ιούλ ιούλιοσ июл июль июля лип "
            "липень липня юли јул јули ",
            "abu abuztua ag ago agost agosto agu agustus août aug august augusta augusti augusts augustus "
            "augusztus avg avgust ağu ağustos dag dagost elo elokuu elokuuta kol kolovoz kolovoza ogo ogos rugp "
            "rugpjūtis rugpjūčio sie sierpień sierpnia srpen srpna αυγ αυγούστου αύγ αύγουστοσ авг август августа "
            "серп серпень серпня ",
            "deset desetembre eyl eylül ira iraila rugs rugsėjis rugsėjo ruj rujan rujna sep sept septembar "
            "september septembra septembre septembrie septembris septiembre set setembre setembro settembre syys "
            "syyskuu syyskuuta szept szeptember wrz wrzesień września zář září σεπ σεπτέμβριοσ σεπτεμβρίου вер "
            "вересень вересня сент сентябрь сентября сеп септембар септември ",
            "doct doctubre eki ekim loka lokakuu lokakuuta oct october octobre octombrie octubre okt oktobar "
            "oktober oktobris oktoober október októbra ott ottobre out outubro paź październik października spal "
            "spalio spalis urr urria říj říjen října οκτ οκτωβρίου οκτώβριοσ жовт жовтень жовтня окт октобар "
            "октомври октябрь октября ",
            "aza azaroa denov denovembre kas kasım lapkr lapkritis lapkričio listopadu marras marraskuu "
            "marraskuuta noiembrie nov novembar november novembra novembre novembris novembro noviembre stu "
            "studeni studenoga νοέ νοέμβριοσ νοε νοεμβρίου лист листопад листопада нов новембар ное ноември нояб "
            "ноябрь ноября ",
            "abe abendua ara aralık dec decembar december decembra decembrie decembris decembro dedes dedesembre "
            "des desember desembre dets detsember dez dezember dezembro dic dicembre diciembre dis disember déc "
            "décembre gru grudnia grudzień gruod gruodis gruodžio joulu joulukuu joulukuuta pro prosinac prosinca "
            "prosince prosinec δεκ δεκέμβριοσ δεκεμβρίου груд грудень грудня дек декабрь декабря декември дец "
            "децембар ",
        ),
        start=1,
    )
    for word in words.split()
}
