//! Source of the claims: the ten languages; Meta's preference `stop` is marketing only (131050).

use chrono::TimeDelta;
use proptest::prelude::*;
use wa_core::model::{Category, Consent, ConsentRecord, SkipReason};
use wa_core::rules::consent::{
    ConsentNews, effective, hear, is_resume_word, is_stop_word, joined, languages, refusal, resume_words,
    stop_words, strengthen, word,
};

use super::epoch;

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

fn at(seconds: i64) -> chrono::DateTime<chrono::Utc> {
    epoch() + TimeDelta::seconds(seconds)
}

fn after(news: &[ConsentNews]) -> Consent {
    effective(&news.iter().fold(ConsentRecord::default(), |record, news| hear(record, *news)))
}

#[test]
fn every_language_has_resume_words_and_no_word_says_both() {
    for language in LANGUAGES {
        assert!(resume_words(language).len() >= 3, "{language}");
        for said in resume_words(language) {
            assert!(is_resume_word(&said.to_uppercase()) && !is_stop_word(said), "{said}");
            assert_eq!(word(said), Some(Consent::Allowed));
        }
    }
    for stop in every_word() {
        assert!(!is_resume_word(stop), "{stop}");
        assert_eq!(word(stop), Some(Consent::OptedOut));
    }
    assert_eq!(word("let us start"), None);
}

#[test]
fn words_are_ordered_by_the_users_own_instants() {
    use ConsentNews::{Marketing, NoMarketing, Resume, Set, Stop};
    let check = |news: &[ConsentNews], expected| assert_eq!(after(news), expected, "{news:?}");
    check(&[], Consent::Allowed);
    check(&[Stop(at(1)), Resume(at(2))], Consent::Allowed);
    check(&[Resume(at(2)), Stop(at(1))], Consent::Allowed);
    check(&[Stop(at(2)), Resume(at(1))], Consent::OptedOut);
    check(&[Stop(at(1)), Resume(at(1))], Consent::OptedOut);
    check(&[NoMarketing(at(1))], Consent::NoMarketing);
    check(&[Marketing(at(2)), NoMarketing(at(1))], Consent::Allowed);
    check(&[Stop(at(1)), Marketing(at(2))], Consent::OptedOut);
    check(&[NoMarketing(at(1)), Resume(at(2))], Consent::NoMarketing);
    check(&[Set(Consent::Blocked, at(1)), Resume(at(2)), Marketing(at(3))], Consent::Blocked);
    check(&[Set(Consent::NoMarketing, at(1)), Marketing(at(2))], Consent::NoMarketing);
    check(&[Set(Consent::OptedOut, at(1)), Resume(at(2))], Consent::Allowed);
    for consent in Consent::ALL.iter().copied() {
        check(&[Stop(at(1)), NoMarketing(at(1)), Set(consent, at(2))], consent);
    }
    check(&[Set(Consent::Allowed, at(2)), Stop(at(1))], Consent::OptedOut);
}

fn any_news() -> impl Strategy<Value = ConsentNews> {
    (0..4_u8, 0..5_i64).prop_map(|(kind, seconds)| match kind {
        0 => ConsentNews::Stop(at(seconds)),
        1 => ConsentNews::Resume(at(seconds)),
        2 => ConsentNews::NoMarketing(at(seconds)),
        _ => ConsentNews::Marketing(at(seconds)),
    })
}

proptest! {
    #[test]
    fn no_order_or_repetition_of_what_users_say_matters(
        news in proptest::collection::vec(any_news(), 0..8), cut in any::<proptest::sample::Index>(),
    ) {
        let mut other = news.clone();
        other.rotate_left(cut.index(news.len().max(1)) % news.len().max(1));
        other.reverse();
        other.extend_from_slice(&news);
        prop_assert_eq!(after(&news), after(&other));
    }

    #[test]
    fn one_person_is_as_strict_as_its_parts_together(
        one in proptest::collection::vec(any_news(), 0..6), other in proptest::collection::vec(any_news(), 0..6),
    ) {
        let record = |news: &[ConsentNews]| news.iter().fold(ConsentRecord::default(), |it, news| hear(it, *news));
        let all: Vec<_> = one.iter().chain(&other).copied().collect();
        prop_assert_eq!(joined(record(&one), record(&other)), record(&all));
    }

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
