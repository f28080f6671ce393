//! Consent: what a stop word is, and what each consent allows.

use crate::model::{Category, Consent, SkipReason};

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
    let text = text.trim_matches(|c: char| !c.is_alphanumeric());
    // No stop word is longer; a long message needs no folding.
    if text.is_empty() || text.len() > 256 {
        return false;
    }
    let folded = fold(text);
    STOP_WORDS.iter().any(|(_, words)| words.iter().any(|word| fold(word) == folded))
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
