//! Consent: what stop and resume words are, what is kept of them, and what each consent allows.
//!
//! What users say is kept by their own instants, so the order in which it becomes known does not
//! matter. What a caller decides replaces everything that was known when it was decided; a stop that
//! becomes known afterwards binds all the same, however old it is.

use chrono::{DateTime, Utc};

use crate::model::{Category, Consent, ConsentRecord, SkipReason};

/// Stop words by language, lower case, without punctuation. A message is one only as a whole.
///
/// Source: what carriers and mail senders treat as opt-out in each language; the English list is
/// the CTIA's (Messaging Principles and Best Practices, 2023): stop, end, cancel, unsubscribe, quit.
const STOP_WORDS: &[(&str, &[&str])] = &[
    (
        "en",
        &[
            "stop",
            "stopall",
            "stop all",
            "unsubscribe",
            "cancel",
            "end",
            "quit",
            "opt out",
            "opt-out",
            "optout",
            "remove me",
        ],
    ),
    ("de", &["stopp", "abmelden", "abbestellen", "austragen", "keine werbung", "beenden"]),
    (
        "fr",
        &[
            "arret",
            "arrêt",
            "arreter",
            "arrêter",
            "desabonner",
            "désabonner",
            "se désabonner",
            "desinscrire",
            "désinscrire",
            "désinscription",
        ],
    ),
    ("es", &["parar", "baja", "darse de baja", "cancelar", "alto", "detener", "no más mensajes"]),
    ("pt", &["pare", "parar", "sair", "cancelar", "descadastrar", "remover"]),
    ("it", &["ferma", "fermare", "annulla", "disiscriviti", "cancellami", "basta"]),
    ("nl", &["afmelden", "uitschrijven", "stoppen", "annuleren"]),
    ("ar", &["توقف", "قف", "إيقاف", "ايقاف", "الغاء", "إلغاء", "إلغاء الاشتراك", "الغاء الاشتراك"]),
    ("hi", &["रोकें", "रोको", "बंद", "बंद करें", "बंद करो", "सदस्यता समाप्त करें"]),
    ("id", &["berhenti", "hentikan", "batal", "keluar", "berhenti berlangganan"]),
];

/// Resume words by language, as the stop words are.
///
/// Source: the English ones are the CTIA's (Messaging Principles and Best Practices, 2023) and what
/// carriers use: start, unstop. The others are their counterparts.
const RESUME_WORDS: &[(&str, &[&str])] = &[
    ("en", &["start", "unstop", "resume", "subscribe", "opt in", "opt-in", "optin"]),
    ("de", &["anmelden", "starten", "wieder anmelden"]),
    ("fr", &["commencer", "démarrer", "reprendre", "s'abonner"]),
    ("es", &["empezar", "iniciar", "reanudar", "alta", "suscribirme"]),
    ("pt", &["começar", "iniciar", "retomar", "inscrever"]),
    ("it", &["inizia", "iniziare", "riprendi", "iscrivimi"]),
    ("nl", &["starten", "aanmelden", "hervatten"]),
    ("ar", &["ابدأ", "بدء", "استئناف", "اشتراك"]),
    ("hi", &["शुरू", "शुरू करें", "शुरू करो", "चालू करें"]),
    ("id", &["mulai", "lanjutkan", "berlangganan"]),
];

/// The languages whose stop words are known, as ISO 639-1 codes.
pub fn languages() -> impl Iterator<Item = &'static str> {
    STOP_WORDS.iter().map(|(language, _)| *language)
}

/// The stop words of a language, lower case.
#[must_use]
pub fn stop_words(language: &str) -> &'static [&'static str] {
    STOP_WORDS.iter().find(|(code, _)| *code == language).map_or(&[], |(_, words)| words)
}

/// Whether a whole message is a stop word in any of the known languages.
///
/// What stands around it (white space, punctuation, emoji), upper or lower case and accents do not
/// matter; a stop word inside a sentence is no opt-out.
///
/// ```
/// use wa_core::rules::consent::is_stop_word;
/// assert!(is_stop_word("  STOP! "));
/// assert!(is_stop_word("Désabonner"));
/// assert!(!is_stop_word("Please don't stop"));
/// ```
#[must_use]
pub fn is_stop_word(text: &str) -> bool {
    is_one_of(STOP_WORDS, text)
}

/// The resume words of a language, lower case.
#[must_use]
pub fn resume_words(language: &str) -> &'static [&'static str] {
    RESUME_WORDS.iter().find(|(code, _)| *code == language).map_or(&[], |(_, words)| words)
}

/// Whether a whole message is a resume word in any of the known languages; read as stop words are.
///
/// ```
/// use wa_core::rules::consent::is_resume_word;
/// assert!(is_resume_word(" Start."));
/// assert!(!is_resume_word("When do we start?"));
/// ```
#[must_use]
pub fn is_resume_word(text: &str) -> bool {
    is_one_of(RESUME_WORDS, text)
}

/// What a whole message says about consent: opted out by a stop word, allowed again by a resume word.
#[must_use]
pub fn word(text: &str) -> Option<Consent> {
    if is_stop_word(text) {
        Some(Consent::OptedOut)
    } else {
        is_resume_word(text).then_some(Consent::Allowed)
    }
}

fn is_one_of(words: &[(&str, &[&str])], text: &str) -> bool {
    let text = text.trim_matches(|c: char| !c.is_alphanumeric());
    // No stop word is longer; a long message needs no folding.
    if text.is_empty() || text.len() > 256 {
        return false;
    }
    let folded = fold(text);
    words.iter().any(|(_, words)| words.iter().any(|word| fold(word) == folded))
}

/// The form in which texts are compared: lower case without accents, white space collapsed.
///
/// What a keyboard or an input method adds is left out: marks on top of a letter, marks that steer
/// the direction of writing, the Arabic stretch, full width, the two Turkish i.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.extend(word.chars().filter_map(narrow).flat_map(char::to_lowercase).filter_map(plain));
    }
    folded
}

/// Full-width forms as their ASCII counterparts, hyphens as one; nothing for what is invisible.
fn narrow(c: char) -> Option<char> {
    match c {
        // Soft hyphen, zero-width and direction marks, variation selectors, Arabic stretch and vowel signs.
        '\u{ad}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{640}'
        | '\u{64b}'..='\u{652}' => None,
        '\u{2010}'..='\u{2015}' => Some('-'),
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xff01 + 0x21),
        _ => Some(c),
    }
}

/// A lower-case Latin letter without its accent; nothing for an accent that stands apart.
fn plain(c: char) -> Option<char> {
    Some(match c {
        '\u{300}'..='\u{36f}' => return None,
        'à'..='å' => 'a',
        'ç' => 'c',
        'è'..='ë' => 'e',
        'ì'..='ï' | 'ı' => 'i',
        'ñ' => 'n',
        'ò'..='ö' => 'o',
        'ù'..='ü' => 'u',
        _ => c,
    })
}

/// Why a contact with this consent does not get a message of this category, if so.
#[must_use]
pub const fn refusal(consent: Consent, category: Category) -> Option<SkipReason> {
    match (consent, category) {
        (Consent::Allowed | Consent::OptedIn, _)
        | (Consent::NoMarketing, Category::Utility | Category::Authentication | Category::Service) => None,
        (Consent::NoMarketing, Category::Marketing) | (Consent::OptedOut, _) => Some(SkipReason::OptedOut),
        (Consent::Blocked, _) => Some(SkipReason::Blocked),
    }
}

/// Whether marketing lacks a recorded opt-in.
#[must_use]
pub const fn lacks_opt_in(consent: Consent, category: Category) -> bool {
    matches!(category, Category::Marketing) && !matches!(consent, Consent::OptedIn)
}

/// What the consent is after an opt-out of the given strength; a stronger one is never weakened by it.
#[must_use]
pub const fn strengthen(known: Consent, opt_out: Consent) -> Consent {
    if strength(opt_out) > strength(known) { opt_out } else { known }
}

const fn strength(consent: Consent) -> u8 {
    match consent {
        Consent::OptedIn => 0,
        Consent::Allowed => 1,
        Consent::NoMarketing => 2,
        Consent::OptedOut => 3,
        Consent::Blocked => 4,
    }
}

/// Something that is heard about a contact's consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentNews {
    /// The person wrote a stop word, or a file says so, at this instant.
    Stop(DateTime<Utc>),
    /// The person wrote a resume word.
    Resume(DateTime<Utc>),
    /// The person told the provider: no marketing.
    NoMarketing(DateTime<Utc>),
    /// The person told the provider: marketing again.
    Marketing(DateTime<Utc>),
    /// A caller decided.
    Set(Consent, DateTime<Utc>),
}

impl ConsentNews {
    /// What a message of this instant says, by what [`word`] made of it.
    #[must_use]
    pub const fn of_word(said: Consent, at: DateTime<Utc>) -> Self {
        match said {
            Consent::Allowed => Self::Resume(at),
            Consent::NoMarketing => Self::NoMarketing(at),
            Consent::OptedOut => Self::Stop(at),
            Consent::Blocked | Consent::OptedIn => Self::Set(said, at),
        }
    }
}

/// Adds what is heard to what is kept.
///
/// A resume word lifts only a stop that is older; what the provider's preferences say never lifts a
/// stop, nor what a caller decided; nothing but a caller lifts a block.
#[must_use]
pub fn hear(record: ConsentRecord, news: ConsentNews) -> ConsentRecord {
    match news {
        ConsentNews::Stop(at) => ConsentRecord { stopped_at: record.stopped_at.max(Some(at)), ..record },
        ConsentNews::Resume(at) => ConsentRecord { resumed_at: record.resumed_at.max(Some(at)), ..record },
        ConsentNews::NoMarketing(at) => {
            ConsentRecord { no_marketing_at: record.no_marketing_at.max(Some(at)), ..record }
        }
        ConsentNews::Marketing(at) => {
            ConsentRecord { marketing_at: record.marketing_at.max(Some(at)), ..record }
        }
        ConsentNews::Set(Consent::OptedOut, at) => {
            ConsentRecord { stopped_at: Some(at), ..ConsentRecord::default() }
        }
        ConsentNews::Set(
            set @ (Consent::Allowed | Consent::NoMarketing | Consent::Blocked | Consent::OptedIn),
            _,
        ) => ConsentRecord { set, ..ConsentRecord::default() },
    }
}

/// The consent that follows from what is kept: the strictest of all.
#[must_use]
pub fn effective(record: &ConsentRecord) -> Consent {
    let ConsentRecord { set, stopped_at, resumed_at, no_marketing_at, marketing_at } = *record;
    // Of two at one instant the stricter counts.
    let own = if stopped_at.is_some() && stopped_at >= resumed_at { Consent::OptedOut } else { set };
    let told = no_marketing_at.is_some() && no_marketing_at >= marketing_at;
    let own = strengthen(set, own);
    if told { strengthen(own, Consent::NoMarketing) } else { own }
}

/// What is kept of two contacts that turned out to be one person: the stricter of each.
#[must_use]
pub fn joined(one: ConsentRecord, other: ConsentRecord) -> ConsentRecord {
    ConsentRecord {
        set: joined_set(one.set, other.set),
        stopped_at: one.stopped_at.max(other.stopped_at),
        resumed_at: one.resumed_at.max(other.resumed_at),
        no_marketing_at: one.no_marketing_at.max(other.no_marketing_at),
        marketing_at: one.marketing_at.max(other.marketing_at),
    }
}

/// Nobody decided what is merely allowed, so a recorded opt-in outlasts it.
const fn joined_set(one: Consent, other: Consent) -> Consent {
    match (one, other) {
        (Consent::OptedIn, Consent::Allowed) | (Consent::Allowed, Consent::OptedIn) => Consent::OptedIn,
        (one, other) => strengthen(one, other),
    }
}
