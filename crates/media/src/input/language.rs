//! The language of a track: ISO 639-2 codes as MP4 packs them, RFC 5646 tags as manifests want
//! them.

/// Reads the language of `mdhd`: three letters of 5 bits each, `und` and nonsense as none. RFC
/// 5646 (2.2.1) wants the two-letter code where there is one.
pub(super) fn packed(packed: u16) -> Option<String> {
    let letter = |shift: u32| u8::try_from((packed >> shift & 0x1f) + 0x60).unwrap_or(0);
    let code = [letter(10), letter(5), letter(0)];
    if !code.iter().all(u8::is_ascii_lowercase) || matches!(&code, b"und" | b"mis" | b"zxx") {
        return None;
    }
    let code = std::str::from_utf8(&code).ok()?;
    let short = TWO_LETTERS.split_ascii_whitespace().find_map(|pair| pair.strip_prefix(code));
    Some(short.unwrap_or(code).to_owned())
}

/// The least code of three letters: "```", below which QuickTime's own codes lie.
const FIRST_LETTERS: u16 = 0x400;
/// `und` packed.
const UNDETERMINED: u16 = 0x55c4;

/// The language of `mdhd` in a QuickTime file (QuickTime File Format, "Language code values"): a
/// Macintosh code as three letters, packed; other values unchanged.
pub(super) fn of_macintosh(code: u16) -> u16 {
    if code >= FIRST_LETTERS {
        return code;
    }
    let letters = MACINTOSH.split_ascii_whitespace().nth(usize::from(code)).unwrap_or("und");
    letters.bytes().fold(0, |sum, letter| sum << 5 | u16::from(letter & 0x1f))
}

/// What an ISO file says instead of a value that is no three letters.
pub(super) fn repacked(packed: u16) -> u16 {
    let is_letters = [10, 5, 0].iter().all(|shift| (1..=26).contains(&(packed >> shift & 0x1f)));
    if is_letters { packed & 0x7fff } else { UNDETERMINED }
}

/// Macintosh language codes from 0 on, as ISO 639-2.
const MACINTOSH: &str = "\
    eng fra deu ita nld swe spa dan por nor heb jpn ara fin ell isl mlt tur hrv zho urd hin tha \
    kor lit pol hun est lav sme fao fas rus zho nld gle sqi ron ces slk slv yid srp mkd bul ukr \
    bel uzb kaz aze aze hye kat ron kir tgk tuk mon mon pus kur kas snd bod nep san mar ben asm \
    guj pan ori mal kan tam tel sin mya khm lao vie ind tgl msa msa amh tir orm som swa kin run \
    nya mlg epo";

/// Reads `elng`, which holds an RFC 5646 tag; anything else as none.
pub(super) fn extended(body: &[u8]) -> Option<String> {
    let text = body.get(4..)?.split(|byte| *byte == 0).next()?;
    let text = std::str::from_utf8(text).ok()?;
    let is_tag = (2..=35).contains(&text.len())
        && text.split('-').all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
    (is_tag && text != "und").then(|| text.to_owned())
}

/// Reads a tag that somebody wrote: a language with a two-letter code, by either of its codes,
/// or one of [`THREE_LETTERS`], and what may follow it. Anything else as none: in `film.hd.vtt`
/// there is no language.
pub fn of_tag(text: &str) -> Option<String> {
    let text = text.trim().replace('_', "-");
    let (language, rest) = text.split_at(text.find('-').unwrap_or(text.len()));
    let language = language.to_ascii_lowercase();
    let mut pairs =
        TWO_LETTERS.split_ascii_whitespace().filter_map(|pair| pair.split_at_checked(3));
    let known = pairs.find(|(long, short)| language == *long || language == *short);
    let has_three = THREE_LETTERS.split_ascii_whitespace().any(|one| one == language);
    let language = match known {
        Some((_, short)) => short,
        None if has_three => &language,
        None => return None,
    };
    let tag = format!("{language}{rest}");
    extended(&[&[0; 4], tag.as_bytes()].concat())
}

/// The language of a tag as `mdhd` packs it; `und` where it has no code of its own.
pub(crate) fn pack(tag: Option<&str>) -> u16 {
    let language = tag.and_then(|tag| tag.split('-').next()).unwrap_or("und");
    let mut pairs =
        TWO_LETTERS.split_ascii_whitespace().filter_map(|pair| pair.split_at_checked(3));
    let long = pairs.find(|(_, short)| *short == language).map_or(language, |(long, _)| long);
    let is_code = long.len() == 3 && long.bytes().all(|byte| byte.is_ascii_lowercase());
    let code = if is_code { long } else { "und" };
    code.bytes().fold(0, |sum, letter| sum << 5 | u16::from(letter - 0x60))
}

/// Languages without a two-letter code that subtitles are known to have.
const THREE_LETTERS: &str = "ast ckb cmn dsb fil gsw haw hsb nds scn yue";

/// ISO 639-2 (both variants) followed by ISO 639-1, for every language that has both.
const TWO_LETTERS: &str = "\
    aaraa abkab afraf akaak albsq amham araar argan armhy asmas avaav aveae aymay azeaz bakba \
    bambm baqeu belbe benbn bihbh bisbi bodbo bosbs brebr bulbg burmy catca cescs chach chece \
    chizh chucu chvcv corkw cosco crecr cymcy czecs danda deude divdv dutnl dzodz ellel engen \
    epoeo estet euseu eweee faofo fasfa fijfj finfi frafr frefr fryfy fulff geoka gerde glagd \
    glega glggl glvgv greel grngn gujgu hatht hauha hebhe herhz hinhi hmoho hrvhr hunhu hyehy \
    iboig iceis idoio iiiii ikuiu ileie inaia indid ipkik islis itait javjv jpnja kalkl kankn \
    kasks katka kaukr kazkk khmkm kikki kinrw kirky komkv konkg korko kuakj kurku laolo latla \
    lavlv limli linln litlt ltzlb lublu luglg macmk mahmh malml maomi marmr mayms mkdmk mlgmg \
    mltmt monmn mrimi msams myamy nauna navnv nblnr ndend ndong nepne nldnl nnonn nobnb norno \
    nyany ocioc ojioj orior ormom ossos panpa perfa plipi polpl porpt pusps quequ rohrm ronro \
    rumro runrn rusru sagsg sansa sinsi slksk slosk slvsl smese smosm snasn sndsd somso sotst \
    spaes sqisq srdsc srpsr sswss sunsu swasw swesv tahty tamta tattt telte tgktg tgltl thath \
    tibbo tirti tonto tsntn tsots tuktk turtr twitw uigug ukruk urdur uzbuz venve vievi volvo \
    welcy wlnwa wolwo xhoxh yidyi yoryo zhaza zhozh zulzu";

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(code: &[u8; 3]) -> u16 {
        code.iter().fold(0, |sum, letter| sum << 5 | u16::from(letter - 0x60))
    }

    #[test]
    fn codes_become_the_shortest_tag() {
        for (code, tag) in
            [(b"eng", "en"), (b"deu", "de"), (b"ger", "de"), (b"zul", "zu"), (b"gsw", "gsw")]
        {
            assert_eq!(packed(pack(code)).as_deref(), Some(tag));
        }
    }

    #[test]
    fn macintosh_codes_become_letters() {
        for (code, tag) in [(0, "en"), (11, "ja"), (30, "fo"), (33, "zh"), (53, "ro"), (94, "eo")] {
            assert_eq!(packed(of_macintosh(code)).as_deref(), Some(tag));
        }
        for code in [95, 0x3ff, 0x7fff] {
            assert_eq!(packed(of_macintosh(code)), None);
        }
        assert_eq!(of_macintosh(pack(b"deu")), pack(b"deu"));
        let packed: Vec<_> = (0..95).map(|code| packed(of_macintosh(code))).collect();
        assert!(packed.iter().all(Option::is_some));
    }

    #[test]
    fn what_is_written_is_three_letters() {
        assert_eq!(repacked(pack(b"eng")), pack(b"eng"));
        for nonsense in [0, 0x400, 0x7fff, u16::MAX] {
            assert_eq!(repacked(nonsense), pack(b"und"));
        }
    }

    #[test]
    fn a_written_tag_is_known_by_its_language() {
        for (text, tag) in [
            ("de", Some("de")),
            ("ENG", Some("en")),
            ("pt-BR", Some("pt-BR")),
            ("zh_Hant", Some("zh-Hant")),
            ("gsw", Some("gsw")),
            ("hd", None),
            ("1080p", None),
            ("", None),
            ("und", None),
            ("de-", None),
        ] {
            assert_eq!(of_tag(text).as_deref(), tag, "{text}");
        }
        for (tag, code) in [("de", b"deu"), ("pt-BR", b"por"), ("gsw", b"gsw"), ("en", b"eng")] {
            assert_eq!(super::pack(Some(tag)), pack(code));
        }
        assert_eq!(super::pack(None), pack(b"und"));
    }

    #[test]
    fn undetermined_and_nonsense_are_none() {
        assert_eq!(packed(pack(b"und")), None);
        assert_eq!(packed(0), None);
        assert_eq!(packed(u16::MAX), None);
        for body in [&b""[..], b"\0\0\0\0", b"\0\0\0\0und\0", b"\0\0\0\0a b\0", b"\0\0\0\0\xff\xff"]
        {
            assert_eq!(extended(body), None);
        }
        assert_eq!(extended(b"\0\0\0\0pt-BR\0").as_deref(), Some("pt-BR"));
    }
}
