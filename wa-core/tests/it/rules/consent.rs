//! Source of the claims: the ten languages; Meta's preference `stop` is marketing only (131050).

use proptest::prelude::*;
use wa_core::model::{Category, Consent, SkipReason};
use wa_core::rules::consent::{is_stop_word, languages, refusal, stop_words, strengthen};

const LANGUAGES: [&str; 10] = ["en", "de", "fr", "es", "pt", "it", "nl", "ar", "hi", "id"];
const CATEGORIES: [Category; 4] =
    [Category::Marketing, Category::Utility, Category::Authentication, Category::Service];

fn every_word() -> impl Iterator<Item = &'static str> {
    LANGUAGES.into_iter().flat_map(stop_words).copied()
}

fn any_consent() -> impl Strategy<Value = Consent> {
    proptest::sample::select(Consent::ALL)
}

fn any_word() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(every_word().collect::<Vec<_>>())
}

#[test]
fn all_ten_languages_have_stop_words() {
    assert_eq!(languages().collect::<Vec<_>>(), LANGUAGES);
    for language in LANGUAGES {
        assert!(stop_words(language).len() >= 3, "{language}");
    }
    assert!(stop_words("xx").is_empty());
}

#[test]
fn every_stop_word_is_known_whole_trimmed_folded_and_punctuated() {
    for word in every_word() {
        let spaced = word.replace(' ', "   ");
        let forms = [
            word.to_owned(),
            word.to_uppercase(),
            format!("  {word}\r\n"),
            format!("{}!!!", word.to_uppercase()),
            format!("¡{word}!"),
            format!("\"{word}\"."),
            format!("«{word}»"),
            format!("{word}。"),
            format!("{word}؟"),
            format!("\u{200f}{word}\u{200e}"),
            format!("\u{2067}{word}\u{2069}"),
            format!("\u{202b}{word}\u{202c}"),
            format!("\u{feff}{word}\u{200b}"),
            format!("\u{a0}{spaced}\u{3000}"),
            format!("{word} 🛑"),
            format!("{word} \u{2764}\u{fe0f}"),
            format!("{}{word}", " ".repeat(400)),
        ];
        for form in forms {
            assert!(is_stop_word(&form), "{form:?}");
        }
    }
}

#[test]
fn keyboards_and_input_methods_do_not_hide_a_stop_word() {
    let written = [
        "UNSUBSCR\u{130}BE", // capital dotted I, as Turkish keyboards write it
        "qu\u{131}t",        // dotless i, as Turkish lower case makes of QUIT
        "arre\u{302}t",      // decomposed ê
        "De\u{301}sabonner", // decomposed é
        "ARRÊT",
        "se desabonner", // accents left out
        "no mas mensajes",
        "ＳＴＯＰ",       // full width, from East Asian input methods
        "إيقـاف",         // stretched
        "تَوَقَّف",           // with vowel signs
        "opt\u{2011}out", // a hyphen that does not break
        "रोके\u{902}",
    ];
    for text in written {
        assert!(is_stop_word(text), "{text:?}");
    }
}

#[test]
fn a_stop_word_inside_a_sentence_is_no_opt_out() {
    let sentences = [
        "",
        " ",
        "!!!",
        "🛑",
        "\u{200b}",
        "Please don't stop",
        "stop it",
        "non-stop",
        "stops",
        "nonstop",
        "The bus stop",
        "end of story",
        "cancel my order please",
        "Wann kann ich das Abo beenden?",
        "keine werbung mehr, aber Rechnungen",
        "Basta pasta",
        "hasta la baja",
        "bus stop 5",
        "1 stop",
        "لا تتوقف",
        "बंद मत करो",
        "jangan berhenti",
        "stop stop",
        "stop.it",
        "s t o p",
    ];
    for text in sentences {
        assert!(!is_stop_word(text), "{text:?}");
    }
    assert!(!is_stop_word(&"stop ".repeat(100_000)));
}

#[test]
fn each_consent_allows_what_it_says() {
    use Category::{Authentication, Marketing, Service, Utility};
    for category in CATEGORIES {
        assert_eq!(refusal(Consent::Allowed, category), None);
        assert_eq!(refusal(Consent::OptedOut, category), Some(SkipReason::OptedOut));
        assert_eq!(refusal(Consent::Blocked, category), Some(SkipReason::Blocked));
    }
    assert_eq!(refusal(Consent::NoMarketing, Marketing), Some(SkipReason::OptedOut));
    for category in [Utility, Authentication, Service] {
        assert_eq!(refusal(Consent::NoMarketing, category), None);
    }
}

#[test]
fn stronger_opt_outs_allow_less() {
    let order =
        [Consent::OptedIn, Consent::Allowed, Consent::NoMarketing, Consent::OptedOut, Consent::Blocked];
    for pair in order.windows(2) {
        assert_eq!(strengthen(pair[0], pair[1]), pair[1]);
        assert_eq!(strengthen(pair[1], pair[0]), pair[1]);
        for category in CATEGORIES {
            assert!(refusal(pair[0], category).is_none() || refusal(pair[1], category).is_some());
        }
    }
}

proptest! {
    #[test]
    fn strength_is_a_lattice(a in any_consent(), b in any_consent(), c in any_consent()) {
        prop_assert_eq!(strengthen(a, b), strengthen(b, a));
        prop_assert_eq!(strengthen(a, a), a);
        prop_assert_eq!(strengthen(strengthen(a, b), c), strengthen(a, strengthen(b, c)));
    }

    #[test]
    fn a_word_before_or_after_makes_it_a_sentence(word in any_word(), other in "[a-z]{3,9}") {
        prop_assume!(!every_word().any(|known| known.contains(&other)));
        let before = format!("{other} {word}");
        let after = format!("{word} {other}");
        let glued = format!("{word}{other}");
        prop_assert!(!is_stop_word(&before));
        prop_assert!(!is_stop_word(&after));
        prop_assert!(!is_stop_word(&glued));
    }

    #[test]
    fn any_text_is_read_without_panic(text in "\\PC{0,300}") {
        let _ = is_stop_word(&text);
    }
}
