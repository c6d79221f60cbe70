"""The words of messages that have no template of their own, in every language that templates have.

Title and text are templates like those that people may change. Counts stand behind a label, never before a noun:
so no language needs its rules for plurals here.
"""

from collections.abc import Mapping
from types import MappingProxyType

from app.insight.anomalies import ALL_FIGURES
from app.notifications.templates import Template

# What happened -> how loud it is, its tags, and the sign before its title.
_SHAPES: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "overdueBackups": ("default", "duplicati, duplistatus, overdue", "🕑"),
        "silence": ("high", "duplicati, duplistatus, silence", "🔇"),
        "silenceOver": ("default", "duplicati, duplistatus, recovered", "🔔"),
        "channelFailing": ("high", "duplicati, duplistatus, channel", "📵"),
        "channelWorks": ("default", "duplicati, duplistatus, recovered", "💚"),
        "unusualRun": ("high", "duplicati, duplistatus, unusual", "🔎"),
        "destinationFull": ("default", "duplicati, duplistatus, storage", "📦"),
        "destinationsFull": ("default", "duplicati, duplistatus, storage", "📦"),
        "healthFailing": ("high", "duplicati, duplistatus, health", "🩺"),
        "healthWorks": ("default", "duplicati, duplistatus, recovered", "💚"),
    }
)
EVENTS = tuple(_SHAPES)
# Those about one run or job end with the address of its page.
LINKED = ("unusualRun", "destinationFull")

# Language -> event -> title and text. `list` is a line of a list of jobs, and what stands below one that was cut.
WORDS: Mapping[str, Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "en-GB": {
            "overdueBackups": ("Overdue backup jobs: {count}", "These backups have not arrived in time:\n\n{jobs}"),
            "silence": (
                "No backup has reported for {duration}",
                "Nothing has been reported since {last_report_date}. Overdue backup jobs: {count}.\n\n"
                "When all machines are silent at once, the cause is mostly the network, the address or the "
                "certificate of duplistatus.",
            ),
            "silenceOver": (
                "Backups report again",
                "{backup_name} of {server_alias} has reported, after a silence since {last_report_date}.",
            ),
            "channelFailing": (
                "{channel} delivers nothing",
                "No message has got through {channel} since {since_date}.\n\n"
                "🛑 Reason: {error}\n📄 Messages that wait: {count}",
            ),
            "channelWorks": (
                "{channel} delivers again",
                "Messages get through {channel} again. It had failed since {since_date}.",
            ),
            "unusualRun": (
                "Unusual run: {backup_name} of {server_alias}",
                "The run of {backup_date} differs much from those before it:\n\n{figures}\n\n"
                "If nobody intended these changes, look at the files before old versions are deleted.",
            ),
            "destinationFull": (
                "Destination full {when}: {backup_name} of {server_alias}",
                "💾 Free space: {free_size}\n📈 Growth per day: {growth_size}\n"
                "📅 Expected to be full: {full_date}\n\n"
                "Free some space, or keep fewer versions: without space backups fail.",
            ),
            "destinationsFull": (
                "Destinations that will soon be full: {count}",
                "{jobs}\n\nFree some space, or keep fewer versions: without space backups fail.",
            ),
            "healthFailing": (
                "duplistatus needs attention",
                "{problems}\n\nUntil this is solved, reports and messages may be missing.",
            ),
            "healthWorks": ("duplistatus works again", "Solved:\n\n{problems}"),
            "list": ("{server_alias}: {backup_name}, expected {expected_date}", "and more: {count}"),
        },
        "de": {
            "overdueBackups": (
                "Überfällige Sicherungen: {count}",
                "Diese Sicherungen sind nicht rechtzeitig eingetroffen:\n\n{jobs}",
            ),
            "silence": (
                "Keine Sicherung hat sich gemeldet: {duration}",
                "Seit {last_report_date} ist nichts mehr gemeldet worden. Überfällige Sicherungen: {count}.\n\n"
                "Wenn alle Rechner zugleich schweigen, liegt es meist am Netz, an der Adresse oder am Zertifikat "
                "von duplistatus.",
            ),
            "silenceOver": (
                "Sicherungen melden sich wieder",
                "{backup_name} von {server_alias} hat sich gemeldet, nach einer Stille seit {last_report_date}.",
            ),
            "channelFailing": (
                "{channel} stellt nichts zu",
                "Über {channel} ist seit {since_date} keine Nachricht mehr angekommen.\n\n"
                "🛑 Grund: {error}\n📄 Wartende Nachrichten: {count}",
            ),
            "channelWorks": (
                "{channel} stellt wieder zu",
                "Nachrichten über {channel} kommen wieder an. Seit {since_date} war das nicht so.",
            ),
            "unusualRun": (
                "Ungewöhnlicher Lauf: {backup_name} von {server_alias}",
                "Der Lauf vom {backup_date} weicht stark von den früheren ab:\n\n{figures}\n\n"
                "Falls niemand diese Änderungen beabsichtigt hat, prüfen Sie die Dateien, bevor alte Versionen "
                "gelöscht werden.",
            ),
            "destinationFull": (
                "Ziel {when} voll: {backup_name} von {server_alias}",
                "💾 Freier Platz: {free_size}\n📈 Wachstum pro Tag: {growth_size}\n"
                "📅 Voraussichtlich voll: {full_date}\n\n"
                "Schaffen Sie Platz oder behalten Sie weniger Versionen: Ohne Platz schlagen Sicherungen fehl.",
            ),
            "destinationsFull": (
                "Ziele, die bald voll sind: {count}",
                "{jobs}\n\n"
                "Schaffen Sie Platz oder behalten Sie weniger Versionen: Ohne Platz schlagen Sicherungen fehl.",
            ),
            "healthFailing": (
                "duplistatus braucht Aufmerksamkeit",
                "{problems}\n\nBis das behoben ist, können Berichte und Nachrichten fehlen.",
            ),
            "healthWorks": ("duplistatus arbeitet wieder", "Behoben:\n\n{problems}"),
            "list": ("{server_alias}: {backup_name}, erwartet {expected_date}", "und weitere: {count}"),
        },
        "fr": {
            "overdueBackups": (
                "Sauvegardes en retard : {count}",
                "Ces sauvegardes ne sont pas arrivées à temps :\n\n{jobs}",
            ),
            "silence": (
                "Aucune sauvegarde signalée depuis {duration}",
                "Plus rien n'a été signalé depuis le {last_report_date}. Sauvegardes en retard : {count}.\n\n"
                "Quand toutes les machines se taisent à la fois, la cause est le plus souvent le réseau, l'adresse ou "
                "le certificat de duplistatus.",
            ),
            "silenceOver": (
                "Les sauvegardes se signalent de nouveau",
                "{backup_name} de {server_alias} s'est signalée, après un silence depuis le {last_report_date}.",
            ),
            "channelFailing": (
                "{channel} ne distribue plus rien",
                "Aucun message n'est passé par {channel} depuis le {since_date}.\n\n"
                "🛑 Raison : {error}\n📄 Messages en attente : {count}",
            ),
            "channelWorks": (
                "{channel} distribue de nouveau",
                "Les messages passent de nouveau par {channel}, en échec depuis le {since_date}.",
            ),
            "unusualRun": (
                "Exécution inhabituelle : {backup_name} de {server_alias}",
                "L'exécution du {backup_date} diffère beaucoup des précédentes :\n\n{figures}\n\n"
                "Si ces changements ne sont pas intentionnels, examinez les fichiers avant que d'anciennes versions ne "
                "soient supprimées.",
            ),
            "destinationFull": (
                "Destination pleine {when} : {backup_name} de {server_alias}",
                "💾 Espace libre : {free_size}\n📈 Croissance par jour : {growth_size}\n"
                "📅 Date probable de saturation : {full_date}\n\n"
                "Libérez de l'espace ou gardez moins de versions : sans espace, les sauvegardes échouent.",
            ),
            "destinationsFull": (
                "Destinations bientôt pleines : {count}",
                "{jobs}\n\nLibérez de l'espace ou gardez moins de versions : sans espace, les sauvegardes échouent.",
            ),
            "healthFailing": (
                "duplistatus demande votre attention",
                "{problems}\n\nTant que ce n'est pas résolu, des rapports et des messages peuvent manquer.",
            ),
            "healthWorks": ("duplistatus fonctionne de nouveau", "Résolu :\n\n{problems}"),
            "list": ("{server_alias} : {backup_name}, attendue le {expected_date}", "et d'autres : {count}"),
        },
        "es": {
            "overdueBackups": (
                "Copias atrasadas: {count}",
                "Estas copias no han llegado a tiempo:\n\n{jobs}",
            ),
            "silence": (
                "Ninguna copia ha informado: {duration}",
                "No se ha informado de nada desde el {last_report_date}. Copias atrasadas: {count}.\n\n"
                "Cuando todas las máquinas callan a la vez, la causa suele ser la red, la dirección o el certificado "
                "de duplistatus.",
            ),
            "silenceOver": (
                "Las copias vuelven a informar",
                "{backup_name} de {server_alias} ha informado, tras un silencio desde el {last_report_date}.",
            ),
            "channelFailing": (
                "{channel} no entrega nada",
                "Ningún mensaje ha pasado por {channel} desde el {since_date}.\n\n"
                "🛑 Motivo: {error}\n📄 Mensajes en espera: {count}",
            ),
            "channelWorks": (
                "{channel} vuelve a entregar",
                "Los mensajes pasan de nuevo por {channel}. Fallaba desde el {since_date}.",
            ),
            "unusualRun": (
                "Ejecución inusual: {backup_name} de {server_alias}",
                "La ejecución del {backup_date} difiere mucho de las anteriores:\n\n{figures}\n\n"
                "Si estos cambios no son intencionados, revise los archivos antes de que se eliminen versiones "
                "antiguas.",
            ),
            "destinationFull": (
                "Destino lleno {when}: {backup_name} de {server_alias}",
                "💾 Espacio libre: {free_size}\n📈 Crecimiento diario: {growth_size}\n"
                "📅 Fecha prevista de llenado: {full_date}\n\n"
                "Libere espacio o conserve menos versiones: sin espacio las copias fallan.",
            ),
            "destinationsFull": (
                "Destinos que pronto estarán llenos: {count}",
                "{jobs}\n\nLibere espacio o conserve menos versiones: sin espacio las copias fallan.",
            ),
            "healthFailing": (
                "duplistatus necesita atención",
                "{problems}\n\nHasta que se resuelva, pueden faltar informes y mensajes.",
            ),
            "healthWorks": ("duplistatus vuelve a funcionar", "Resuelto:\n\n{problems}"),
            "list": ("{server_alias}: {backup_name}, esperada el {expected_date}", "y más: {count}"),
        },
        "pt-BR": {
            "overdueBackups": (
                "Backups atrasados: {count}",
                "Estes backups não chegaram a tempo:\n\n{jobs}",
            ),
            "silence": (
                "Nenhum backup deu notícia: {duration}",
                "Nada foi informado desde {last_report_date}. Backups atrasados: {count}.\n\n"
                "Quando todas as máquinas se calam ao mesmo tempo, a causa costuma ser a rede, o endereço ou o "
                "certificado do duplistatus.",
            ),
            "silenceOver": (
                "Os backups voltaram a dar notícia",
                "{backup_name} de {server_alias} deu notícia, depois de um silêncio desde {last_report_date}.",
            ),
            "channelFailing": (
                "{channel} não entrega nada",
                "Nenhuma mensagem passou por {channel} desde {since_date}.\n\n"
                "🛑 Motivo: {error}\n📄 Mensagens em espera: {count}",
            ),
            "channelWorks": (
                "{channel} voltou a entregar",
                "As mensagens passam de novo por {channel}. Falhava desde {since_date}.",
            ),
            "unusualRun": (
                "Execução incomum: {backup_name} de {server_alias}",
                "A execução de {backup_date} difere muito das anteriores:\n\n{figures}\n\n"
                "Se ninguém quis essas mudanças, confira os arquivos antes que versões antigas sejam excluídas.",
            ),
            "destinationFull": (
                "Destino cheio {when}: {backup_name} de {server_alias}",
                "💾 Espaço livre: {free_size}\n📈 Crescimento por dia: {growth_size}\n"
                "📅 Previsão de ficar cheio: {full_date}\n\n"
                "Libere espaço ou mantenha menos versões: sem espaço os backups falham.",
            ),
            "destinationsFull": (
                "Destinos que em breve estarão cheios: {count}",
                "{jobs}\n\nLibere espaço ou mantenha menos versões: sem espaço os backups falham.",
            ),
            "healthFailing": (
                "duplistatus precisa de atenção",
                "{problems}\n\nAté que isso seja resolvido, podem faltar relatórios e mensagens.",
            ),
            "healthWorks": ("duplistatus voltou a funcionar", "Resolvido:\n\n{problems}"),
            "list": ("{server_alias}: {backup_name}, esperado em {expected_date}", "e mais: {count}"),
        },
        "hi": {
            "overdueBackups": (
                "देर से चल रहे बैकअप: {count}",
                "ये बैकअप समय पर नहीं पहुँचे:\n\n{jobs}",
            ),
            "silence": (
                "किसी बैकअप की सूचना नहीं आई: {duration}",
                "{last_report_date} के बाद से कोई सूचना नहीं आई। देर से चल रहे बैकअप: {count}।\n\n"
                "जब सभी मशीनें एक साथ चुप हों, तो कारण प्रायः नेटवर्क, duplistatus का पता या उसका प्रमाणपत्र होता है।",
            ),
            "silenceOver": (
                "बैकअप की सूचना फिर आने लगी",
                "{last_report_date} से चली आ रही चुप्पी के बाद {server_alias} के {backup_name} की सूचना आई।",
            ),
            "channelFailing": (
                "{channel} से कुछ नहीं पहुँच रहा",
                "{since_date} के बाद से {channel} के रास्ते कोई संदेश नहीं पहुँचा।\n\n"
                "🛑 कारण: {error}\n📄 प्रतीक्षा में संदेश: {count}",
            ),
            "channelWorks": (
                "{channel} फिर से काम कर रहा है",
                "{channel} के रास्ते संदेश फिर पहुँच रहे हैं। {since_date} से यह बंद था।",
            ),
            "unusualRun": (
                "असामान्य रन: {server_alias} का {backup_name}",
                "{backup_date} का रन पिछले रनों से बहुत अलग है:\n\n{figures}\n\n"
                "यदि ये बदलाव किसी ने जान-बूझकर नहीं किए, तो पुराने संस्करण हटाए जाने से पहले फ़ाइलें जाँच लें।",
            ),
            "destinationFull": (
                "गंतव्य पर जगह खत्म ({when}): {server_alias} का {backup_name}",
                "💾 खाली जगह: {free_size}\n📈 प्रतिदिन वृद्धि: {growth_size}\n"
                "📅 भरने की संभावित तारीख: {full_date}\n\n"
                "जगह खाली करें या कम संस्करण रखें: जगह न होने पर बैकअप विफल होते हैं।",
            ),
            "destinationsFull": (
                "जल्द भरने वाले गंतव्य: {count}",
                "{jobs}\n\nजगह खाली करें या कम संस्करण रखें: जगह न होने पर बैकअप विफल होते हैं।",
            ),
            "healthFailing": (
                "duplistatus पर ध्यान देना ज़रूरी है",
                "{problems}\n\nजब तक यह ठीक नहीं होता, रिपोर्ट और संदेश छूट सकते हैं।",
            ),
            "healthWorks": ("duplistatus फिर से काम कर रहा है", "ठीक हुआ:\n\n{problems}"),
            "list": ("{server_alias}: {backup_name}, अपेक्षित {expected_date}", "और भी: {count}"),
        },
        "zh-Hans": {
            "overdueBackups": ("逾期备份:{count}", "以下备份没有按时到达:\n\n{jobs}"),
            "silence": (
                "没有任何备份报告:{duration}",
                "自 {last_report_date} 起没有收到任何报告。逾期备份:{count}。\n\n"
                "如果所有机器同时沉默,原因多半在网络、duplistatus 的地址或证书。",
            ),
            "silenceOver": (
                "备份恢复报告",
                "{server_alias} 的 {backup_name} 已报告,此前自 {last_report_date} 起一直沉默。",
            ),
            "channelFailing": (
                "{channel} 无法送达",
                "自 {since_date} 起没有消息通过 {channel} 送达。\n\n🛑 原因:{error}\n📄 等待中的消息:{count}",
            ),
            "channelWorks": ("{channel} 恢复送达", "消息又能通过 {channel} 送达;此前自 {since_date} 起失败。"),
            "unusualRun": (
                "运行反常:{server_alias} 的 {backup_name}",
                "{backup_date} 的运行与之前的运行差别很大:\n\n{figures}\n\n"
                "如果这些更改并非有意所为,请在旧版本被删除之前检查文件。",
            ),
            "destinationFull": (
                "备份目标空间耗尽({when}):{server_alias} 的 {backup_name}",
                "💾 可用空间:{free_size}\n📈 每日增长:{growth_size}\n"
                "📅 预计占满日期:{full_date}\n\n"
                "请释放空间或减少保留的版本:没有空间时备份会失败。",
            ),
            "destinationsFull": (
                "即将占满的目标存储:{count}",
                "{jobs}\n\n请释放空间或减少保留的版本:没有空间时备份会失败。",
            ),
            "healthFailing": (
                "duplistatus 需要处理",
                "{problems}\n\n在解决之前,报告和消息可能会缺失。",
            ),
            "healthWorks": ("duplistatus 恢复工作", "已解决:\n\n{problems}"),
            "list": ("{server_alias}:{backup_name},预计 {expected_date}", "以及更多:{count}"),
        },
    }
)

# Language -> a line about a figure, and the names of the figures in the order of `anomalies.ALL_FIGURES`.
FIGURE_WORDS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "en-GB": (
            "{figure}: {value} instead of about {usual}",
            ("Modified files", "Deleted files", "Uploaded", "Duration", "Size", "Files"),
        ),
        "de": (
            "{figure}: {value} statt etwa {usual}",
            ("Geänderte Dateien", "Gelöschte Dateien", "Hochgeladen", "Dauer", "Größe", "Dateien"),
        ),
        "fr": (
            "{figure} : {value} au lieu d'environ {usual}",
            ("Fichiers modifiés", "Fichiers supprimés", "Envoyé", "Durée", "Taille", "Fichiers"),
        ),
        "es": (
            "{figure}: {value} en lugar de aproximadamente {usual}",
            ("Archivos modificados", "Archivos eliminados", "Subido", "Duración", "Tamaño", "Archivos"),
        ),
        "pt-BR": (
            "{figure}: {value} em vez de cerca de {usual}",
            ("Arquivos modificados", "Arquivos excluídos", "Enviado", "Duração", "Tamanho", "Arquivos"),
        ),
        "hi": (
            "{figure}: {value}, आम तौर पर लगभग {usual}",
            ("बदली गई फ़ाइलें", "हटाई गई फ़ाइलें", "अपलोड", "अवधि", "आकार", "फ़ाइलें"),
        ),
        "zh-Hans": (
            "{figure}:{value},平时约为 {usual}",
            ("修改的文件", "删除的文件", "已上传", "耗时", "大小", "文件"),
        ),
    }
)

# Language -> a line of a list of jobs whose destinations will be full, and `when` of one that is full.
FULL_WORDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "en-GB": ("{server_alias}: {backup_name}, full {when}, free space {free_size}", "now"),
        "de": ("{server_alias}: {backup_name}, {when} voll, freier Platz {free_size}", "jetzt"),
        "fr": ("{server_alias} : {backup_name}, pleine {when}, espace libre {free_size}", "maintenant"),
        "es": ("{server_alias}: {backup_name}, lleno {when}, espacio libre {free_size}", "ahora"),
        "pt-BR": ("{server_alias}: {backup_name}, cheio {when}, espaço livre {free_size}", "agora"),
        "hi": ("{server_alias}: {backup_name}, {when} जगह खत्म, खाली जगह {free_size}", "अभी"),
        "zh-Hans": ("{server_alias}:{backup_name},{when}空间耗尽,可用空间 {free_size}", "目前"),
    }
)

# What may be wrong with duplistatus itself, in the order of the sentences below.
HEALTH_KINDS = ("space", "full", "damaged", "silent", "unwritable", "schema", "checks", "delivery")
HEALTH_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "en-GB": (
            "There is little free disk space",
            "The disk is full, so reports are lost",
            "The database is damaged",
            "The database does not answer",
            "The database cannot be written",
            "The schema of the database does not fit this version",
            "Nothing looks for overdue backups",
            "Messages are not sent",
        ),
        "de": (
            "Es gibt wenig freien Speicherplatz",
            "Die Platte ist voll, Berichte gehen verloren",
            "Die Datenbank ist beschädigt",
            "Die Datenbank antwortet nicht",
            "In die Datenbank kann nicht geschrieben werden",
            "Das Schema der Datenbank passt nicht zu dieser Version",
            "Überfällige Sicherungen werden nicht gesucht",
            "Nachrichten werden nicht gesendet",
        ),
        "fr": (
            "L'espace disque libre est faible",
            "Le disque est plein, des rapports se perdent",
            "La base de données est endommagée",
            "La base de données ne répond pas",
            "La base de données n'est pas accessible en écriture",
            "Le schéma de la base de données ne convient pas à cette version",
            "Les sauvegardes en retard ne sont plus recherchées",
            "Les messages ne sont plus envoyés",
        ),
        "es": (
            "Queda poco espacio libre en el disco",
            "El disco está lleno y se pierden informes",
            "La base de datos está dañada",
            "La base de datos no responde",
            "No se puede escribir en la base de datos",
            "El esquema de la base de datos no corresponde a esta versión",
            "No se buscan copias atrasadas",
            "No se envían mensajes",
        ),
        "pt-BR": (
            "Há pouco espaço livre em disco",
            "O disco está cheio e relatórios se perdem",
            "O banco de dados está danificado",
            "O banco de dados não responde",
            "Não é possível gravar no banco de dados",
            "O esquema do banco de dados não serve para esta versão",
            "Backups atrasados não são procurados",
            "Mensagens não são enviadas",
        ),
        "hi": (
            "डिस्क पर खाली जगह कम है",
            "डिस्क भर गई है, इसलिए रिपोर्ट खो रही हैं",
            "डेटाबेस क्षतिग्रस्त है",
            "डेटाबेस उत्तर नहीं दे रहा",
            "डेटाबेस में लिखा नहीं जा सकता",
            "डेटाबेस का स्कीमा इस संस्करण के अनुरूप नहीं है",
            "देर से चल रहे बैकअप की जाँच नहीं हो रही",
            "संदेश नहीं भेजे जा रहे",
        ),
        "zh-Hans": (
            "磁盘可用空间不足",
            "磁盘已满,报告正在丢失",
            "数据库已损坏",
            "数据库没有响应",
            "数据库无法写入",
            "数据库结构与此版本不符",
            "没有检查逾期的备份",
            "消息没有发送",
        ),
    }
)


def health_words(kind: str, language: str) -> str:
    """A sentence about one of `HEALTH_KINDS`, without a full stop."""
    return HEALTH_WORDS[language][HEALTH_KINDS.index(kind)]


def alarm_template(event: str, language: str) -> Template:
    """The template of an alarm in a language that has words here."""
    title, message = WORDS[language][event]
    priority, tags, sign = _SHAPES[event]
    link = "\n\n{details_link}" if event in LINKED else ""
    return Template(f"{sign} {title}", message + link, priority, tags)


def list_words(language: str) -> tuple[str, str]:
    """A line of a list of jobs, and what stands below a list that was cut."""
    return WORDS[language]["list"]


def figure_line(figure: str, value: str, usual: str, language: str) -> str:
    """Return a figure that is not usual beside the usual one: `Modified files: 41,230 instead of about 210`."""
    line, names = FIGURE_WORDS[language]
    return line.format(figure=names[ALL_FIGURES.index(figure)], value=value, usual=usual)
