"""Parse dates and times as .NET writes them in any culture (format "G").

The parts are interpreted by `app.reports.versions`, over a whole list.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

# Words in written dates: AM/PM designators and month names.
#
# Made by scripts/date_words.py from the CLDR data of Babel: do not edit. Keys are as `word_key` returns them.

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


LONGEST_DATE = 120  # characters

_NUMBER = re.compile(r"[0-9]+")
# The usual format; only a shortcut.
_PLAIN = re.compile(
    r"([0-9]{1,4})([./-])( ?)([0-9]{1,2})\2\3([0-9]{1,4}) ([0-9]{1,2})([:.])([0-9]{2})\7([0-9]{2})(?: ([AP]M|[ap]m))?"
)
# What Duplicati writes over paths, and over texts that look like paths.
_MASK = "redacted-"
# Words in dates and times of some cultures without significance: units, "year", eras. As `word_key` returns them.
_NOISE = frozenset(
    "г ч год h min s klock kl uhr ga de del år ཆུཚོད ad ce بعدالهجرة هـ ه 年 月 日 時 时 分 秒 년 월 일 시 분 초".split()
)

# 1 Farvardin 1387 and 1 Muharram 1429.
_PERSIAN_FIRST_YEAR = 1387
_PERSIAN_FIRST_DAY = date(2008, 3, 20).toordinal()
_HIJRI_FIRST_YEAR = 1429
_HIJRI_FIRST_DAY = date(2008, 1, 10).toordinal()
# A year each: bit n is set when month n + 1 has 30 days instead of 29. From the official Umm al-Qura tables, 1429-1500.
_HIJRI_MONTHS = tuple(
    int(bits, 16)
    for bits in (
        "d92 aa6 956 2ae 56d 36a b55 aaa 94d 49d 95d 2ba 5b5 5aa d55 a9a 92e 26e 55d ada 6d4 6a5 54b a97 "
        "54e aae 5ac ba9 d92 b25 64b cab 55a b55 6d2 ea5 e4a a95 52d aad 36c 759 6d2 695 52d a5b 4ba 9ba "
        "3b4 b69 b52 aa6 4b6 96d 2ec 6d9 eb2 d54 d2a a56 4ae 96d d6a b54 b29 a93 52b a57 536 ab5 6aa e93"
    ).split()
)


class WrittenDate(NamedTuple):
    """A date split into its parts.

    `numbers` are its three parts in the order of the text; 0 is a month in words.
    """

    numbers: tuple[int, int, int]
    digits: tuple[int, int, int]  # how many digits each part has
    month: int | None  # if written as a word
    month_index: int  # index of the month in words, or -1
    hour: int
    minute: int
    second: int
    designator: str  # "am", "pm", "" or the key of an unknown word beside the time
    designator_text: str  # as written
    separator: str  # between the parts of the date: ".", "-", "/" or ""
    time_separator: str
    is_padded: bool  # a part of the date, or the hour, begins with 0


def clean(text: str) -> str:
    """Return the text with ASCII digits, plain spaces, and without direction marks."""
    if text.isascii():
        return text.strip()
    chars = []
    for char in text:
        category = unicodedata.category(char)
        if category == "Nd":
            chars.append(str(unicodedata.decimal(char)))
        elif category == "Zs" or char.isspace():
            chars.append(" ")
        elif category != "Cf":
            chars.append(char)
    return "".join(chars).strip()


def word_key(text: str) -> str:
    """Return the letters of a text in lower case: `pm` for `p. m.` and `PM`."""
    if text.isascii():
        return "".join(char for char in text if char.isalpha()).lower()
    return "".join(char for char in text.casefold() if unicodedata.category(char)[0] in "LM")


def is_masked(text: str) -> bool:
    """Return whether Duplicati's mask for paths covers a part."""
    return _MASK in text


def take_apart(text: str) -> WrittenDate | None:
    """Return the parts of a date with its time, or None if it is not a date.

    The last three numbers are hour, minute and second in every culture.
    """
    return None if len(text) > LONGEST_DATE or is_masked(text) else _take_short_apart(text)


# Lists repeat: of thirty versions in a report, the previous report has listed twenty-nine.
@lru_cache(maxsize=8192)
def _take_short_apart(text: str) -> WrittenDate | None:
    cleaned = clean(text)
    plain = _PLAIN.fullmatch(cleaned)
    return _take_apart(cleaned) if plain is None else _plain_date(plain)


def _plain_date(match: re.Match[str]) -> WrittenDate | None:
    """Return the parts of a date that `_PLAIN` has matched."""
    first, separator, _, second, third, hour_text, time_separator, minute_text, second_text, word = match.groups()
    hour, minute, seconds = int(hour_text), int(minute_text), int(second_text)
    if hour > 23 or minute > 59 or seconds > 59:
        return None
    return WrittenDate(
        (int(first), int(second), int(third)),
        (len(first), len(second), len(third)),
        None,
        -1,
        hour,
        minute,
        seconds,
        word.lower() if word else "",
        word or "",
        separator,
        time_separator,
        "0" in (first[0], second[0], third[0], hour_text[0]),
    )


def _take_apart(text: str) -> WrittenDate | None:
    """Return the parts of a date in any form."""
    matches = list(_NUMBER.finditer(text))
    if len(matches) not in (5, 6):
        return None
    numbers = [match[0] for match in matches]
    gaps = [text[: matches[0].start()]]
    gaps += [text[left.end() : right.start()] for left, right in pairwise(matches)]
    gaps.append(text[matches[-1].end() :])
    if any(len(number) > 4 for number in numbers[:-3]) or any(len(number) > 2 for number in numbers[-3:]):
        return None
    hour, minute, second = (int(number) for number in numbers[-3:])
    if hour > 23 or minute > 59 or second > 59 or not _is_time_gap(gaps[-3]) or not _is_time_gap(gaps[-2]):
        return None
    found = _date_parts(numbers[:-3], gaps[: len(numbers) - 3])
    if found is None:
        return None
    parts, digits, month, month_index, separator = found
    designator, designator_text = _designator(gaps[-4], gaps[-1])
    return WrittenDate(
        numbers=parts,
        digits=digits,
        month=month,
        month_index=month_index,
        hour=hour,
        minute=minute,
        second=second,
        designator=designator,
        designator_text=designator_text,
        separator=separator,
        time_separator=gaps[-3].strip()[:1],
        is_padded=any(number[0] == "0" for number in numbers[:-2]),
    )


def _is_time_gap(gap: str) -> bool:
    """Return whether a text can occur between hour, minute and second."""
    stripped = gap.strip()
    return stripped in (":", ".") or (len(stripped) <= 6 and word_key(stripped) in _NOISE)


def _date_parts(
    numbers: list[str], gaps: list[str]
) -> tuple[tuple[int, int, int], tuple[int, int, int], int | None, int, str] | None:
    """Return numbers, digits, month in words, its index, and the separator.

    `gaps` are the texts before each number.
    """
    inner = gaps[1:]
    if any(len(gap.strip()) > 12 or not gap for gap in inner):
        return None
    prefix = word_key(gaps[0])
    separator = next((char for gap in inner for char in gap if char in "./-"), "")
    values = [int(number) for number in numbers]
    lengths = [len(number) for number in numbers]
    if len(numbers) == 3:
        if prefix in AM_WORDS or prefix in PM_WORDS:
            return None
        if any((key := word_key(gap)) and key not in _NOISE for gap in inner):
            return None
        return (values[0], values[1], values[2]), (lengths[0], lengths[1], lengths[2]), None, -1, separator
    index = next((n for n, gap in enumerate(gaps) if word_key(gap) in MONTHS), -1)
    if index < 0:
        return None
    month = MONTHS[word_key(gaps[index])]
    values.insert(index, 0)
    lengths.insert(index, 0)
    return (values[0], values[1], values[2]), (lengths[0], lengths[1], lengths[2]), month, index, separator


def _designator(before: str, after: str) -> tuple[str, str]:
    """Return "am", "pm", "" or the key of an unknown word, and the word as written."""
    unknown = ""
    for gap in (after, before):
        words = gap.split()
        for word in (gap, *words):
            key = word_key(word)
            if key in AM_WORDS:
                return "am", word.strip()
            if key in PM_WORDS:
                return "pm", word.strip()
        key = word_key(gap)
        if key and key not in _NOISE and any(word_key(word) not in _NOISE for word in words):
            unknown = unknown or key
    return unknown, unknown


def gregorian(year: int, month: int, day: int) -> int:
    """Return the ordinal of a day.

    Raises ValueError, as all calendars here, if the day does not exist.
    """
    return date(year, month, day).toordinal()


def buddhist(year: int, month: int, day: int) -> int:
    """Return the ordinal of a day of the Thai calendar."""
    return date(year - 543, month, day).toordinal()


def taiwanese(year: int, month: int, day: int) -> int:
    """Return the ordinal of a day of the calendar of the Republic of China."""
    return date(year + 1911, month, day).toordinal()


def _is_persian_leap(year: int) -> bool:
    # Exact for the years 1244 to 1531.
    return (25 * year + 11) % 33 < 8


def persian(year: int, month: int, day: int) -> int:
    """Return the ordinal of a day of the Persian calendar, years 1387 to 1500."""
    if not (_PERSIAN_FIRST_YEAR <= year <= 1500 and 1 <= month <= 12):
        raise ValueError("unknown month")
    length = 31 if month <= 6 else 30 if month <= 11 or _is_persian_leap(year) else 29
    if not 1 <= day <= length:
        raise ValueError("unknown day")
    return _persian_new_year(year) + (month - 1) * 30 + min(month - 1, 6) + day - 1


@lru_cache(maxsize=256)
def _persian_new_year(year: int) -> int:
    passed = range(_PERSIAN_FIRST_YEAR, year)
    return _PERSIAN_FIRST_DAY + sum(366 if _is_persian_leap(full) else 365 for full in passed)


def hijri(year: int, month: int, day: int) -> int:
    """Return the ordinal of a day of the Umm al-Qura calendar, years 1429 to 1500."""
    index = year - _HIJRI_FIRST_YEAR
    if not (0 <= index < len(_HIJRI_MONTHS) and 1 <= month <= 12):
        raise ValueError("unknown month")
    bits = _HIJRI_MONTHS[index]
    if not 1 <= day <= 29 + (bits >> (month - 1) & 1):
        raise ValueError("unknown day")
    passed = bits & ((1 << (month - 1)) - 1)
    return _hijri_new_year(index) + 29 * (month - 1) + passed.bit_count() + day - 1


@lru_cache(maxsize=256)
def _hijri_new_year(index: int) -> int:
    return _HIJRI_FIRST_DAY + sum(12 * 29 + bits.bit_count() for bits in _HIJRI_MONTHS[:index])


CALENDARS: dict[str, Callable[[int, int, int], int]] = {
    "gregorian": gregorian,
    "buddhist": buddhist,
    "persian": persian,
    "hijri": hijri,
    "taiwanese": taiwanese,
}
# What to add to a year to come within two of the Gregorian year, between 2008 and 2077.
YEARS_BEHIND = {"gregorian": 0, "buddhist": -543, "persian": 621, "hijri": 578, "taiwanese": 1911}
# What two digits of a year stand for.
CENTURIES = {"gregorian": (2000,), "buddhist": (2500,), "persian": (1300, 1400), "hijri": (1400,), "taiwanese": ()}
