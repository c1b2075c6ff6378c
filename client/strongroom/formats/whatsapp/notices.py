"""Lines that nobody wrote: what they tell, in many languages.

A phrase of several parts (`…`) needs all of them in this order. What stands in quotation marks becomes parameters.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from strongroom.formats.whatsapp.periods import MARKS, NO_MARKS

_PHRASES: dict[str, str] = {
    "encryption": "end-to-end encrypted|end-to-end encryption|ende-zu-ende-verschlüssel|cifrado de extremo a extremo|"
    "cifrados de extremo a extremo|cifradas de extremo a extremo|criptografia de ponta a ponta|"
    "encriptadas ponto a ponto|criptografadas de ponta a ponta|chiffrés de bout en bout|chiffrement de bout en bout|"
    "crittografia end-to-end|crittografati end-to-end|end-to-end versleuteld|end-to-end-versleuteling|"
    "сквозным шифрованием|наскрізним шифруванням|uçtan uca şifreli|szyfrowane metodą end-to-end|"
    "szyfrowania end-to-end|szyfrowaniem end-to-end|端到端加密|端對端加密|端对端加密|エンドツーエンドで暗号化|エンドツーエンド暗号化|종단 간 암호화|"
    "مشفرة تمامًا بين الطرفين|التشفير التام|مشفّرة تمامًا|מוצפנות מקצה לקצה|הצפנה מקצה לקצה|एंड-टू-एंड एन्क्रिप्टेड|terenkripsi secara end-to-end|"
    "terenkripsi end-to-end|disulitkan hujung ke hujung|totalsträckskrypter|ende-til-ende-kryptert|end-to-end-krypteret|"
    "päästä päähän -salattu|koncově šifrován|végpontok közötti titkosítás|criptate integral|mã hóa đầu cuối|"
    "διατερματική κρυπτογράφηση|เข้ารหัสจากต้นทางถึงปลายทาง|رمزگذاری سرتاسر",
    "security_code": "security code|sicherheitsnummer|código de seguridad|código de segurança|code de sécurité|"
    "codice di sicurezza|beveiligingscode|код безопасности|güvenlik kodu|kod bezpieczeństwa|安全码|安全碼|安全代碼|安全驗證碼",
    "number": "changed their phone number|changed to a new number|changed to +|hat eine neue telefonnummer|"
    "hat die telefonnummer gewechselt|cambió su número|cambió a un número nuevo|mudou o número|mudou de número|"
    "a changé de numéro|ha cambiato numero|heeft een nieuw telefoonnummer|сменил номер|изменил номер|сменил(-а) номер|"
    "telefon numarasını değiştirdi|zmienił numer|zmienił(a) numer|更换了手机号|更換了電話號碼|已更換號碼",
    "subject": "changed the subject|changed the group name|changed the group subject|hat den betreff|hat den gruppennamen|"
    "cambió el asunto|cambió el nombre del grupo|mudou o nome do grupo|mudou o assunto|alterou o assunto|"
    "a changé le sujet|a modifié le sujet|a changé le nom du groupe|a modifié le nom du groupe|ha cambiato l'oggetto|"
    "ha modificato l'oggetto|ha cambiato il nome del gruppo|heeft het onderwerp|heeft de groepsnaam|изменил тему|"
    "изменил(-а) тему|изменил название|изменил(а) тему|grup adını…olarak değiştirdi|grubun konusunu|konuyu|"
    "zmienił temat|zmienił(a) temat|zmienił nazwę grupy|将主题|将群组名称|将群名称|更改了主题|將主旨|將群組名稱|變更了群組名稱|"
    "グループの件名を|グループ名を|그룹 제목을|그룹 이름을|غيّر اسم المجموعة|غير موضوع|שינה את הנושא|שינתה את הנושא|"
    "mengubah subjek|mengubah nama grup",
    "icon": "changed this group's icon|changed this group’s icon|changed the group icon|deleted this group's icon|"
    "deleted this group’s icon|hat das gruppenbild|cambió el ícono|cambió el icono|cambió la imagen del grupo|"
    "mudou a imagem|mudou a foto|a changé l'icône|a changé l’icône|ha cambiato l'immagine|ha cambiato l’immagine|"
    "heeft de groepsafbeelding|изменил иконку|изменил картинку|изменил изображение|bu grubun simgesini değiştirdi|"
    "grup simgesini|zmienił ikonę|更换了本群组的图标|更改了群组图标|變更了群組圖示|變更了此群組的圖示",
    "description": "changed the group description|deleted the group description|hat die gruppenbeschreibung|"
    "cambió la descripción|mudou a descrição|a changé la description|a modifié la description|"
    "ha cambiato la descrizione|heeft de groepsbeschrijving|изменил описание|grup açıklamasını|zmienił opis|"
    "更改了群组描述|更改了群组说明|變更了群組說明|更改了群組簡介",
    "created": "created group|created this group|created the group|hat die gruppe…erstellt|hast die gruppe…erstellt|"
    "creó el grupo|creó este grupo|creaste el grupo|creaste este grupo|criou o grupo|criou este grupo|criou esse grupo|"
    "você criou o grupo|a créé le groupe|avez créé le groupe|a créé ce groupe|avez créé ce groupe|ha creato il gruppo|"
    "hai creato il gruppo|ha creato questo gruppo|heeft de groep…gemaakt|heeft de groep…aangemaakt|heeft groep…gemaakt|"
    "heeft deze groep|hebt de groep|создал группу|создал(-а) группу|создал(а) группу|создала группу|вы создали группу|"
    "створив групу|grubunu oluşturdu|bu grubu oluşturdu|grubu oluşturdu|utworzył grupę|utworzył(a) grupę|utworzyłeś grupę|"
    "创建了群组|创建了此群组|创建了本群|您创建了群组|建立了群組|建立了此群組|建立群組|がグループ…を作成|グループを作成|그룹을 만들었|그룹을 생성|"
    "أنشأ المجموعة|أنشأ مجموعة|قام بإنشاء|יצר את הקבוצה|יצרת את הקבוצה|יצרה את הקבוצה|ने ग्रुप…बनाया|ग्रुप बनाया|"
    "membuat grup|skapade gruppen|opprettet gruppen|oprettede gruppen|loi ryhmän|vytvořil skupinu|vytvořil(a) skupinu|"
    "létrehozta a|a creat grupul|δημιούργησε την ομάδα|đã tạo nhóm|สร้างกลุ่ม",
    "admin": "now an admin|no longer an admin|jetzt admin|jetzt ein admin|ist kein admin|ahora eres admin|ya no eres admin|"
    "agora você é admin|você agora é um admin|você agora é admin|êtes maintenant admin|ora sei amministratore|"
    "bent nu beheerder|стали админом|теперь админ|artık yöneticisiniz|jesteś teraz administratorem|成为管理员|成為管理員|現在是管理員",
    "timer": "disappearing messages|message timer|selbstlöschende nachrichten|mensajes temporales|mensagens temporárias|"
    "messages éphémères|messaggi effimeri|verdwijnende berichten|zelfwissende berichten|исчезающие сообщения|"
    "исчезающих сообщений|kaybolan mesajlar|süreli mesajlar|znikające wiadomości|限时消息|阅后即焚|限時訊息|自動銷毀訊息",
    "settings": "changed this group's settings|changed this group’s settings|changed the settings|changed the group settings|"
    "hat die gruppeneinstellungen|cambió la configuración|cambió los ajustes|mudou as configurações|a modifié les paramètres|"
    "ha cambiato le impostazioni|heeft de groepsinstellingen|изменил настройки|更改了群组设置|變更了群組設定",
    "pin": "pinned a message|unpinned a message|hat eine nachricht angeheftet|hat eine nachricht fixiert|fijó un mensaje|"
    "fixou uma mensagem|a épinglé un message|ha fissato un messaggio|heeft een bericht vastgezet|закрепил сообщение|"
    "закрепил(-а) сообщение|置顶了一条消息|置頂了訊息|釘選了訊息",
    "unblock": "you unblocked|hast diesen kontakt freigegeben|blockierung…aufgehoben|desbloqueaste|você desbloqueou|"
    "avez débloqué|hai sbloccato|gedeblokkeerd|разблокировали|已取消封锁|解除封鎖",
    "block": "you blocked|hast diesen kontakt blockiert|bloqueaste|você bloqueou|avez bloqué|hai bloccato|geblokkeerd|"
    "заблокировали|您已封锁|已封鎖",
    "business": "business account|unternehmenskonto|cuenta de empresa|conta comercial|compte professionnel|"
    "account business|zakelijk account|бизнес-аккаунт|işletme hesabı|商业帐户|商業帳號|企業帳號",
    "join": "joined using this group's invite link|joined using this group’s invite link|joined using your invite|"
    "joined using a group link|joined from the community|joined the group|ist der gruppe|ist über den einladungslink|"
    "ist mit dem einladungslink|se unió usando|se unió con el enlace|entrou usando o link|entrou usando um link|"
    "entrou com o link|a rejoint|ont rejoint|è entrato usando|si è unito usando|is lid geworden|neemt deel|"
    "присоединился|присоединился(-ась)|вступил|davet bağlantısını kullanarak katıldı|katıldı|dołączył|"
    "通过此群组的邀请链接加入|加入了群组|加入群组|透過此群組的邀請連結加入|加入了群組|参加しました|참여했습니다|초대 링크로|bergabung menggunakan",
    "remove": "removed|hat…entfernt|hast…entfernt|wurde entfernt|wurdest entfernt|eliminó a|sacó a|expulsó a|removeu|"
    "a retiré|avez retiré|a été retiré|ha rimosso|hai rimosso|heeft…verwijderd|is verwijderd|удалил|удалил(-а)|çıkardı|"
    "çıkarıldı|usunął|usunął(ęła)|移除了|已移除|移出|さんを削除|내보냈습니다|أزال|הסיר את|הסירה את|mengeluarkan",
    "add": "added|were added|was added|hat…hinzugefügt|hast…hinzugefügt|wurde hinzugefügt|wurdest hinzugefügt|añadió|"
    "agregó|se te añadió|añadiste|agregaste|adicionou|foi adicionado|foi adicionada|a ajouté|avez ajouté|a été ajouté|"
    "avez été ajouté|ha aggiunto|hai aggiunto|sei stato aggiunto|heeft…toegevoegd|hebt…toegevoegd|bent toegevoegd|"
    "is toegevoegd|добавил|добавил(-а)|добавили|додав|ekledi|eklendi|sizi ekledi|dodał|dodał(a)|dodano|添加了|已添加|将您加入|"
    "新增了|已加入|加入了|を追加|추가했습니다|초대했습니다|أضاف|أضافك|הוסיף את|הוסיפה את|הוספת את|ने जोड़ा|को जोड़ा|menambahkan|lade till|"
    "la til|tilføjede|lisäsi|přidal|hozzáadta|a adăugat|πρόσθεσε|đã thêm|เพิ่ม",
    "leave": "left|hat die gruppe verlassen|hast die gruppe verlassen|salió del grupo|ha salido del grupo|saliste|salió|"
    "ha salido|abandonó el grupo|saiu|você saiu|a quitté|est parti|avez quitté|ha abbandonato|hai abbandonato|"
    "heeft de groep verlaten|hebt de groep verlaten|вышел из группы|покинул|покинул(-а)|вы вышли|вышел|вышла|"
    "вийшов|ayrıldı|gruptan ayrıldı|opuścił|opuścił(a)|wyszedł|退出了群组|退出群组|已退出|离开了|退出了群組|已離開|離開了|退出|"
    "退会しました|退出しました|나갔습니다|غادر|עזב|עזבה|छोड़ा|keluar|lämnade|forlot|forlod|poistui|opustil|kilépett|a ieșit|"
    "αποχώρησε|đã rời|ออกจาก",
}
_Parts = tuple[str, ...]
_TABLE: list[tuple[str, list[_Parts]]] = [
    (action, [tuple(phrase.split("…")) for phrase in phrases.split("|")]) for action, phrases in _PHRASES.items()
]
_OF_GROUP = frozenset(("created", "add", "remove", "leave", "join", "subject", "icon", "description", "admin"))
_QUOTED = re.compile(r"[“\"„«「『”]([^“”\"„«»「」『』]{1,256})[”\"“»」』]")
_SEVERAL = re.compile(r",|、| and | und | y | e | et | en | и | ve | i ")
_STRANGE = re.compile(f"[{MARKS}\u00a0\u202f]")
_PLAIN: dict[int, str | None] = {**NO_MARKS, 0xA0: " ", 0x202F: " "}
_NOTICE_CHARS = 600
_NAME_CHARS = 100

Event = dict[int, Any]
"""`rows.detail.EVENT`: action, actor, targets, parameters."""


def plain(text: str) -> str:
    """A text to compare: no marks, plain spaces, small letters, no final dot."""
    kept = text.translate(_PLAIN) if _STRANGE.search(text) else text
    return kept.strip(" \r\n.。").lower()


def event(text: str) -> Event | None:
    """What a line that nobody wrote tells; None when the words are not known."""
    if len(text) > _NOTICE_CHARS:
        return None
    shown = text.translate(NO_MARKS).strip().rstrip(".")
    found = _phrase_in(shown.lower())
    return None if found is None else _told(shown, *found)


@functools.lru_cache(maxsize=1024)
def _phrase_in(small: str) -> tuple[str, int, int, bool] | None:
    """The action that a text names, where its phrase lies, and whether it is in one part. The same words come often."""
    for action, phrases in _TABLE:
        for parts in phrases:
            found = _found(small, parts)
            if found is not None:
                return action, *found, len(parts) == 1
    return None


def is_encryption_notice(text: str) -> bool:
    """Whether this is the notice that chats of WhatsApp begin with."""
    if len(text) > _NOTICE_CHARS:
        return False
    small = text.lower()
    return any(parts[0] in small for parts in _TABLE[0][1])


def is_of_group(text: str) -> bool:
    """Whether only groups have a line like this."""
    found = event(text)
    return found is not None and found[1] in _OF_GROUP


def _found(small: str, parts: _Parts) -> tuple[int, int] | None:
    start = end = -1
    for part in parts:
        at = small.find(part, max(end, 0))
        if at < 0:
            return None
        start = at if start < 0 else start
        end = at + len(part)
    # A phrase is not found within a longer word ("added" in "loaded").
    if start > 0 and small[start].isascii() and small[start].isalpha() and small[start - 1].isalnum():
        return None
    return start, end


def _told(shown: str, action: str, start: int, end: int, whole: bool) -> Event:
    quoted = _QUOTED.findall(shown)
    told: Event = {1: action}
    actor = shown[:start].strip(" ~\u202f\u00a0")
    if (
        actor
        and len(actor) <= _NAME_CHARS
        and not _QUOTED.search(actor)
        and action not in ("encryption", "security_code")
    ):
        told[2] = actor
    after = shown[end:].strip(" .")
    if action in ("add", "remove") and whole and after and len(after) <= _NAME_CHARS and not _SEVERAL.search(after):
        told[3] = [after]
    if action in ("subject", "created") and quoted:
        names = {"to": quoted[-1]} if len(quoted) == 1 else {"from": quoted[0], "to": quoted[-1]}
        told[4] = names
    return told
