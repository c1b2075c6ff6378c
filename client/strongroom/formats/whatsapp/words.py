"""Wordings of WhatsApp in many languages, small letters, without marks and final dots.

A phrase that is missing here costs a type, never a message: what is not recognised stays as text.
"""

from __future__ import annotations

OMITTED_BRACKETS = frozenset((
    "media omitted", "media excluded", "medien ausgeschlossen", "medien weggelassen", "medien ausgelassen",
    "multimedia omitido", "archivo omitido", "multimedia omitida", "mídia oculta", "mídia omitida", "arquivo de mídia oculto",
    "ficheiro não revelado", "ficheiro omitido", "multimédia oculto", "médias omis", "fichier omis", "médias masqués",
    "media omessi", "media omesso", "media weggelaten", "без медиафайлов", "медиа отсутствуют", "медіа пропущено",
    "без медіафайлів", "medya dahil edilmedi", "medya atlanmış", "pominięto multimedia", "multimedia pominięte",
    "省略多媒体文件", "省略影音内容", "媒体文件已省略", "忽略多媒體檔", "省略多媒體檔", "媒體檔案已省略", "已略去媒體檔案",
    "メディアは含まれていません", "メディアなし", "미디어 파일을 제외한", "미디어 파일 생략", "미디어 생략", "تم استبعاد الوسائط",
    "تم حذف الوسائط", "המדיה לא נכללה", "מדיה הושמטה", "मीडिया के बिना", "मीडिया छोड़ा गया", "media tidak disertakan",
    "media dihilangkan", "media diabaikan", "رسانه پیوست نشده", "رسانه حذف شده", "media utelämnat", "media har utelämnats",
    "media utelatt", "mediefil utelatt", "mediefil utelukket", "medie udeladt", "medier udeladt", "media jätettiin pois",
    "media poissuljettu", "média vynechány", "média byla vynechána", "médiá vynechané", "hiányzó médiafájl",
    "média elhagyva", "media omise", "fișiere media omise", "εξαιρούνται πολυμέσα", "παραλείφθηκαν πολυμέσα",
    "bỏ qua media", "đã bỏ qua tệp phương tiện", "ไม่รวมสื่อ", "mitjans omesos", "fitxers omesos", "izostavljeni mediji",
    "media view once omitted", "view once voice message omitted", "video message omitted", "video note omitted",
    "videonachricht weggelassen", "mensaje de video omitido",
))  # fmt: skip
"""Android: the words between `<` and `>` where an export without media has a file."""

OMITTED: dict[str, str] = {}
"""iOS: the whole words, and the role of the file."""

_OMITTED_BY_ROLE = {
    "photo": "image omitted|photo omitted|bild weggelassen|imagen omitida|foto omitida|imagem ocultada|imagem omitida|"
    "image absente|image omise|photo omise|immagine omessa|afbeelding weggelaten|изображение отсутствует|"
    "изображение опущено|зображення пропущено|зображення відсутнє|görüntü dahil edilmedi|resim dahil edilmedi|"
    "pominięto obraz|obraz pominięty|图像已忽略|图片已忽略|图片已省略|图像已省略|圖片已略去|圖像已略去|圖片已省略|画像は省略されました|画像が省略されました|"
    "이미지 생략됨|이미지가 생략됨|تم إزالة الصورة|تم استبعاد الصورة|صورة محذوفة|תמונה הושמטה|התמונה הושמטה|चित्र छोड़ा गया|"
    "gambar tidak disertakan|gambar dihilangkan|imej diabaikan|bild utelämnad|bilden utelämnades|bilde utelatt|"
    "billede udeladt|kuva jätetty pois|obrázek vynechán|obrázok vynechaný|kép elhagyva|imagine omisă|"
    "εικόνα παραλείφθηκε|hình ảnh bị bỏ qua|ไม่รวมรูปภาพ|imatge omesa|slika izostavljena",
    "video": "video omitted|video weggelassen|video omitido|vídeo omitido|vídeo ocultado|vídeo oculto|vidéo absente|"
    "vidéo omise|video omesso|video weggelaten|видео отсутствует|видео опущено|відео пропущено|video dahil edilmedi|"
    "pominięto wideo|wideo pominięte|视频已忽略|视频已省略|影片已略去|視訊已略去|影片已省略|動画は省略されました|동영상 생략됨|비디오 생략됨|"
    "تم إزالة الفيديو|فيديو محذوف|סרטון הושמט|וידאו הושמט|वीडियो छोड़ा गया|video tidak disertakan|video dihilangkan|"
    "video utelämnad|video utelatt|video udeladt|video jätetty pois|video vynecháno|videó elhagyva|"
    "videoclip omis|βίντεο παραλείφθηκε|video bị bỏ qua|ไม่รวมวิดีโอ",
    "audio": "audio omitted|audio weggelassen|audio omitido|áudio omitido|áudio ocultado|áudio oculto|audio omis|"
    "audio omesso|audio weggelaten|аудиофайл отсутствует|аудио опущено|аудіо пропущено|ses dahil edilmedi|"
    "pominięto dźwięk|dźwięk pominięty|音频已忽略|音频已省略|語音訊息已略去|音訊已略去|音訊已省略|音声は省略されました|오디오 생략됨|"
    "تم إزالة المقطع الصوتي|صوت محذوف|אודיו הושמט|קובץ שמע הושמט|ऑडियो छोड़ा गया|audio tidak disertakan|audio dihilangkan|"
    "ljud utelämnat|lyd utelatt|lyd udeladt|ääni jätetty pois|zvuk vynechán|hang elhagyva|audio omisă|"
    "ήχος παραλείφθηκε|âm thanh bị bỏ qua|ไม่รวมไฟล์เสียง",
    "gif": "gif omitted|gif weggelassen|gif omitido|gif ocultado|gif oculto|gif omis|gif absent|gif omessa|gif weggelaten|"
    "gif-файл отсутствует|gif опущен|gif dahil edilmedi|pominięto gif|gif已忽略|gif 已忽略|gif已略去|gif は省略されました|gif 생략됨|"
    "gif tidak disertakan|gif הושמט|gif utelämnad|gif utelatt|gif udeladt",
    "sticker": "sticker omitted|sticker weggelassen|sticker omitido|figurinha omitida|figurinha ocultada|autocolante oculto|"
    "sticker omis|autocollant omis|sticker omesso|sticker weggelaten|стикер отсутствует|стикер опущен|стікер пропущено|"
    "çıkartma dahil edilmedi|pominięto naklejkę|naklejka pominięta|表情已忽略|贴图已忽略|贴图已省略|貼圖已略去|貼圖已省略|"
    "スタンプは省略されました|스티커 생략됨|ملصق محذوف|تم إزالة الملصق|מדבקה הושמטה|סטיקר הושמט|स्टिकर छोड़ा गया|"
    "stiker tidak disertakan|stiker dihilangkan|klistermärke utelämnat|klistremerke utelatt|klistermærke udeladt",
    "document": "document omitted|dokument weggelassen|documento omitido|documento ocultado|documento oculto|document omis|"
    "document absent|documento omesso|document weggelaten|документ отсутствует|документ опущен|документ пропущено|"
    "belge dahil edilmedi|pominięto dokument|dokument pominięty|文档已忽略|文件已忽略|文件已省略|文件已略去|"
    "ドキュメントは省略されました|문서 생략됨|مستند محذوف|تم إزالة المستند|מסמך הושמט|दस्तावेज़ छोड़ा गया|dokumen tidak disertakan|"
    "dokumen dihilangkan|dokument utelämnat|dokument utelatt|dokument udeladt",
    "contact": "contact card omitted|kontaktkarte ausgelassen|kontaktkarte weggelassen|tarjeta de contacto omitida|"
    "cartão do contato omitido|cartão de contato omitido|fiche contact omise|carte de contact omise|"
    "scheda contatto omessa|contactkaart weggelaten|карточка контакта отсутствует|контакт опущен|"
    "kişi kartı dahil edilmedi|pominięto kartę kontaktu|联系人名片已忽略|联系人名片已省略|聯絡人卡片已略去|連絡先カードは省略されました|"
    "연락처 카드 생략됨|כרטיס איש קשר הושמט|kartu kontak tidak disertakan",
    "round": "video note omitted|video message omitted|videonachricht weggelassen|mensaje de video omitido|"
    "mensagem de vídeo omitida|message vidéo omis|videomessaggio omesso|videobericht weggelaten|видеосообщение отсутствует",
}
for _role, _phrases in _OMITTED_BY_ROLE.items():
    OMITTED.update(dict.fromkeys(_phrases.split("|"), _role))

ATTACHED_WORDS = frozenset((
    "file attached", "attached file", "datei angehängt", "archivo adjunto", "arquivo anexado", "ficheiro anexado",
    "fichier joint", "file allegato", "bestand bijgevoegd", "файл добавлен", "файл прикреплён", "файл прикреплен",
    "файл додано", "dosya ekli", "ekli dosya", "plik w załączniku", "plik załączony", "załączono plik", "文件附件", "附件",
    "檔案已附加", "附加檔案", "添付ファイル", "ファイル添付", "첨부 파일", "파일 첨부됨", "الملف مرفق", "ملف مرفق", "קובץ מצורף",
    "फ़ाइल अटैच की गई", "फ़ाइल संलग्न", "file terlampir", "fail dilampirkan", "فایل پیوست شد", "bifogad fil", "fil bifogad",
    "fil vedlagt", "fil vedhæftet", "vedhæftet fil", "tiedosto liitteenä", "liitetiedosto", "soubor byl přiložen",
    "soubor přiložen", "súbor priložený", "fájl csatolva", "fișier atașat", "επισυνάφθηκε αρχείο", "συνημμένο αρχείο",
    "tệp đính kèm", "ไฟล์ที่แนบ", "fitxer adjunt", "datoteka priložena",
))  # fmt: skip
"""Android: the words in parentheses behind the name of a file that is in the export."""

DELETED = frozenset((
    "this message was deleted", "you deleted this message", "message deleted", "this message has been deleted",
    "diese nachricht wurde gelöscht", "du hast diese nachricht gelöscht", "nachricht gelöscht", "se eliminó este mensaje",
    "este mensaje fue eliminado", "este mensaje se eliminó", "eliminaste este mensaje", "has eliminado este mensaje",
    "mensaje eliminado", "esta mensagem foi apagada", "você apagou esta mensagem", "mensagem apagada",
    "apagou esta mensagem", "apagaste esta mensagem", "eliminou esta mensagem", "mensagem eliminada",
    "ce message a été supprimé", "vous avez supprimé ce message", "message supprimé",
    "questo messaggio è stato eliminato", "hai eliminato questo messaggio", "messaggio eliminato",
    "dit bericht is verwijderd", "dit bericht werd verwijderd", "u hebt dit bericht verwijderd",
    "je hebt dit bericht verwijderd", "данное сообщение удалено", "это сообщение удалено", "вы удалили это сообщение",
    "вы удалили данное сообщение", "сообщение удалено", "це повідомлення видалено", "ви видалили це повідомлення",
    "bu mesaj silindi", "bu mesajı sildiniz", "bu mesaj silinmiş", "ta wiadomość została usunięta",
    "usunięto tę wiadomość", "wiadomość usunięta", "usunąłeś tę wiadomość", "这条消息已删除", "此消息已删除", "此消息已被删除",
    "您删除了这条消息", "你已删除此消息", "您已删除此消息", "你已删除这条消息", "这条消息已被删除", "此訊息已刪除", "你已刪除此訊息", "您已刪除此訊息",
    "這則訊息已刪除", "這則訊息已被刪除", "你刪除了這則訊息", "このメッセージは削除されました", "このメッセージを削除しました", "あなたはこのメッセージを削除しました",
    "삭제된 메시지입니다", "이 메시지가 삭제되었습니다", "이 메시지를 삭제했습니다", "메시지를 삭제했습니다", "تم حذف هذه الرسالة", "لقد حذفت هذه الرسالة",
    "حذفت هذه الرسالة", "ההודעה נמחקה", "הודעה זו נמחקה", "מחקת את ההודעה", "מחקת הודעה זו", "यह मैसेज मिटाया गया",
    "यह संदेश हटा दिया गया", "आपने यह मैसेज मिटाया है", "आपने यह संदेश हटा दिया", "pesan ini telah dihapus", "anda menghapus pesan ini",
    "anda telah menghapus pesan ini", "mesej ini telah dipadamkan", "این پیام حذف شد", "شما این پیام را حذف کردید",
    "det här meddelandet togs bort", "du tog bort det här meddelandet", "denne meldingen ble slettet",
    "du slettet denne meldingen", "denne besked blev slettet", "du slettede denne besked", "tämä viesti poistettiin",
    "poistit tämän viestin", "tato zpráva byla odstraněna", "odstranili jste tuto zprávu", "táto správa bola odstránená",
    "ezt az üzenetet törölték", "törölted ezt az üzenetet", "acest mesaj a fost șters", "ați șters acest mesaj",
    "αυτό το μήνυμα διαγράφηκε", "διαγράψατε αυτό το μήνυμα", "tin nhắn này đã bị xóa", "bạn đã xóa tin nhắn này",
    "ข้อความนี้ถูกลบแล้ว", "คุณลบข้อความนี้แล้ว", "aquest missatge s'ha eliminat",
))  # fmt: skip

DELETED_BY_ADMIN = (
    "this message was deleted by admin", "this message was deleted by an admin", "diese nachricht wurde von admin",
    "diese nachricht wurde vom admin", "este mensaje fue eliminado por el admin", "se eliminó este mensaje por",
    "essa mensagem foi apagada pelo admin", "esta mensagem foi apagada pelo admin", "ce message a été supprimé par l’admin",
    "ce message a été supprimé par l'admin", "questo messaggio è stato eliminato dall'amministratore",
    "dit bericht is verwijderd door beheerder", "此消息已由管理员", "此訊息已由管理員", "此訊息已被管理員",
)  # fmt: skip

EDITED = frozenset((
    "this message was edited", "diese nachricht wurde bearbeitet", "se editó este mensaje", "este mensaje fue editado",
    "mensaje editado", "mensagem editada", "esta mensagem foi editada", "ce message a été modifié",
    "questo messaggio è stato modificato", "dit bericht is bewerkt", "dit bericht werd bewerkt", "сообщение изменено",
    "данное сообщение изменено", "это сообщение было изменено", "повідомлення відредаговано", "bu mesaj düzenlendi",
    "wiadomość edytowana", "ta wiadomość została edytowana", "edytowano tę wiadomość", "此消息已编辑", "这条消息已编辑", "消息已编辑",
    "此消息已经过编辑", "此訊息已編輯", "已編輯此訊息", "這則訊息已編輯", "このメッセージは編集されました", "編集済み", "이 메시지가 수정되었습니다", "수정된 메시지입니다",
    "تم تعديل هذه الرسالة", "عدّلت هذه الرسالة", "ההודעה נערכה", "הודעה זו נערכה", "यह मैसेज एडिट किया गया", "pesan ini diedit",
    "pesan ini telah diedit", "mesej ini telah diedit", "این پیام ویرایش شد", "meddelandet redigerades",
    "det här meddelandet redigerades", "denne meldingen ble redigert", "denne besked blev redigeret",
    "tätä viestiä muokattiin", "tato zpráva byla upravena", "táto správa bola upravená", "az üzenet szerkesztve",
    "acest mesaj a fost editat", "αυτό το μήνυμα τροποποιήθηκε", "tin nhắn này đã được chỉnh sửa", "แก้ไขข้อความนี้แล้ว",
))  # fmt: skip

LIVE_LOCATION = frozenset((
    "live location shared", "live-standort geteilt", "live-standort wird geteilt", "ubicación en tiempo real compartida",
    "localização em tempo real compartilhada", "localisation en direct partagée", "posizione in tempo reale condivisa",
    "live locatie gedeeld", "трансляция геоданных", "canlı konum paylaşıldı", "已分享实时位置", "已分享即時位置", "實時位置已分享",
))  # fmt: skip

CALLS = {
    "missed voice call": ("voice", "missed"), "missed video call": ("video", "missed"),
    "missed group voice call": ("group", "missed"), "missed group video call": ("group", "missed"),
    "verpasster sprachanruf": ("voice", "missed"), "verpasster videoanruf": ("video", "missed"),
    "llamada perdida": ("voice", "missed"), "llamada de voz perdida": ("voice", "missed"),
    "videollamada perdida": ("video", "missed"), "videollamada grupal perdida": ("group", "missed"),
    "chamada de voz perdida": ("voice", "missed"), "chamada de vídeo perdida": ("video", "missed"),
    "ligação de voz perdida": ("voice", "missed"), "ligação de vídeo perdida": ("video", "missed"),
    "appel vocal manqué": ("voice", "missed"), "appel vidéo manqué": ("video", "missed"),
    "chiamata vocale persa": ("voice", "missed"), "videochiamata persa": ("video", "missed"),
    "gemiste spraakoproep": ("voice", "missed"), "gemiste video-oproep": ("video", "missed"),
    "gemiste audio-oproep": ("voice", "missed"), "пропущенный аудиозвонок": ("voice", "missed"),
    "пропущенный видеозвонок": ("video", "missed"), "пропущенный голосовой звонок": ("voice", "missed"),
    "cevapsız sesli arama": ("voice", "missed"), "cevapsız görüntülü arama": ("video", "missed"),
    "nieodebrane połączenie głosowe": ("voice", "missed"), "nieodebrane połączenie wideo": ("video", "missed"),
    "未接语音通话": ("voice", "missed"), "未接视频通话": ("video", "missed"), "未接語音通話": ("voice", "missed"),
    "未接視訊通話": ("video", "missed"), "語音通話未接": ("voice", "missed"), "不在着信": ("voice", "missed"),
    "音声通話不在着信": ("voice", "missed"), "ビデオ通話不在着信": ("video", "missed"), "부재중 음성 통화": ("voice", "missed"),
    "부재중 영상 통화": ("video", "missed"), "مكالمة صوتية لم يرد عليها": ("voice", "missed"), "مكالمة صوتية فائتة": ("voice", "missed"),
    "مكالمة فيديو فائتة": ("video", "missed"), "שיחה קולית שלא נענתה": ("voice", "missed"), "שיחת וידאו שלא נענתה": ("video", "missed"),
    "मिस्ड वॉइस कॉल": ("voice", "missed"), "मिस्ड वीडियो कॉल": ("video", "missed"),
    "panggilan suara tak terjawab": ("voice", "missed"), "panggilan video tak terjawab": ("video", "missed"),
    "silenced voice call": ("voice", "silenced"), "silenced video call": ("video", "silenced"),
    "voice call": ("voice", None), "video call": ("video", None), "group voice call": ("group", None),
    "group video call": ("group", None), "sprachanruf": ("voice", None), "videoanruf": ("video", None),
    "llamada de voz": ("voice", None), "videollamada": ("video", None), "appel vocal": ("voice", None),
    "appel vidéo": ("video", None), "chamada de voz": ("voice", None), "chamada de vídeo": ("video", None),
    "ligação de voz": ("voice", None), "ligação de vídeo": ("video", None), "语音通话": ("voice", None),
    "视频通话": ("video", None), "語音通話": ("voice", None), "視訊通話": ("video", None),
}  # fmt: skip
"""The words a line about a call begins with; its type, and how it ended where the words say."""
