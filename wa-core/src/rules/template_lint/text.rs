//! Texts and the placeholders in them.

use std::collections::BTreeSet;

use super::definition::{Examples, ParameterFormat};
use super::finding::{Finding, Issue};

/// What a text may be.
pub(super) struct Room {
    /// The most characters.
    pub(super) most: usize,
    /// The most placeholders.
    pub(super) parameters: usize,
    /// One line without emoji and formatting.
    pub(super) is_plain: bool,
    /// Whether the rules for bodies hold: nothing at its ends, and enough words.
    pub(super) is_body: bool,
}

/// A piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Plain text.
    Plain(&'a str),
    /// What stands between two pairs of braces.
    Parameter(&'a str),
    /// Braces that do not pair.
    Broken(&'a str),
}

pub(super) fn lint(
    text: &str,
    examples: &Examples,
    format: ParameterFormat,
    room: &Room,
    place: &str,
    findings: &mut Vec<Finding>,
) {
    let mut tell = |issue| findings.push(Finding::new(place, issue));
    if text.trim().is_empty() {
        tell(Issue::Missing);
        return;
    }
    let chars = text.chars().count();
    if chars > room.most {
        tell(Issue::TooLong { chars, most: room.most });
    }
    if room.is_plain {
        plain(text, &mut tell);
    } else if text.contains("\n\n\n") || text.contains("     ") {
        tell(Issue::Spacing);
    }
    let pieces = pieces(text);
    let parameters = check_parameters(&pieces, format, &mut tell);
    if parameters.len() > room.parameters {
        tell(Issue::TooManyParameters { count: parameters.len(), most: room.parameters });
    }
    if room.is_body {
        check_ends(&pieces, &mut tell);
        let count = pieces.iter().filter(|piece| matches!(piece, Piece::Parameter(_))).count();
        let needed = if count == 0 { 0 } else { 2 * count + 1 };
        let words = words(&pieces);
        if words < needed {
            tell(Issue::TooFewWords { words, needed });
        }
    }
    if parameters.len() <= room.parameters {
        for parameter in parameters {
            if !has_example(&parameter, examples, format) {
                tell(Issue::NoExample { parameter });
            }
        }
    }
}

/// What a one-line text without markup must not hold.
pub(super) fn plain(text: &str, tell: &mut dyn FnMut(Issue)) {
    if text.contains(['\n', '\r']) {
        tell(Issue::LineBreak);
    }
    if text.chars().any(is_emoji) {
        tell(Issue::Emoji);
    }
    // An underscore between letters is no formatting, and names of placeholders have them.
    let is_markup = |c: char| matches!(c, '*' | '~' | '`');
    if pieces(text).iter().any(|piece| matches!(piece, Piece::Plain(plain) if plain.contains(is_markup))) {
        tell(Issue::Formatting);
    }
}

/// The different placeholders that are well formed, and findings for all others.
fn check_parameters(
    pieces: &[Piece<'_>],
    format: ParameterFormat,
    tell: &mut dyn FnMut(Issue),
) -> Vec<String> {
    let mut known = Vec::new();
    let mut numbers = BTreeSet::new();
    for piece in pieces {
        let (name, fits) = match piece {
            Piece::Plain(_) => continue,
            Piece::Broken(found) => {
                tell(Issue::Malformed { found: (*found).to_owned() });
                continue;
            }
            Piece::Parameter(name) => (*name, is_well_formed(name, format)),
        };
        if !fits {
            tell(Issue::Malformed { found: format!("{{{{{name}}}}}") });
        } else if !known.iter().any(|it| it == name) {
            numbers.extend(name.parse::<usize>());
            known.push(name.to_owned());
        }
    }
    let missing = numbers.iter().zip(1..).find(|(number, place)| *number != place);
    if let (ParameterFormat::Positional, Some((_, missing))) = (format, missing) {
        tell(Issue::Gap { missing });
    }
    if pieces.windows(2).any(|pair| matches!(pair, [Piece::Parameter(_), Piece::Parameter(_)]))
        || pieces.windows(3).any(|three| match three {
            [Piece::Parameter(_), Piece::Plain(between), Piece::Parameter(_)] => between.trim().is_empty(),
            _ => false,
        })
    {
        tell(Issue::Adjacent);
    }
    known
}

fn is_well_formed(name: &str, format: ParameterFormat) -> bool {
    match format {
        ParameterFormat::Positional => {
            let is_number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
            is_number && name.len() <= 3 && !name.starts_with('0')
        }
        // Source: Meta, Parameter formats, read December 2025: lower case, digits and underscores.
        ParameterFormat::Named => {
            let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase()) && name.bytes().all(fits)
        }
    }
}

fn has_example(parameter: &str, examples: &Examples, format: ParameterFormat) -> bool {
    let example = match format {
        ParameterFormat::Positional => {
            let place = parameter.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            place.and_then(|place| examples.positional.get(place))
        }
        ParameterFormat::Named => examples.named.get(parameter),
    };
    example.is_some_and(|example| !example.trim().is_empty())
}

fn check_ends(pieces: &[Piece<'_>], tell: &mut dyn FnMut(Issue)) {
    let is_blank = |piece: &&Piece<'_>| matches!(piece, Piece::Plain(text) if text.trim().is_empty());
    let mut said = pieces.iter().filter(|piece| !is_blank(piece));
    if matches!(said.next(), Some(Piece::Parameter(_))) {
        tell(Issue::Leading);
    }
    let mut from_end = pieces.iter().rev().filter(|piece| !is_blank(piece));
    match (from_end.next(), from_end.next()) {
        (Some(Piece::Parameter(_)), _) => tell(Issue::Trailing),
        (Some(Piece::Plain(text)), Some(Piece::Parameter(_))) if !text.contains(char::is_alphanumeric) => {
            tell(Issue::TrailingPunctuation);
        }
        _ => {}
    }
}

/// The words beside the placeholders.
fn words(pieces: &[Piece<'_>]) -> usize {
    let plain = pieces.iter().filter_map(|piece| match piece {
        Piece::Plain(text) => Some(*text),
        Piece::Parameter(_) | Piece::Broken(_) => None,
    });
    plain.flat_map(str::split_whitespace).filter(|word| word.contains(char::is_alphanumeric)).count()
}

/// Splits a text at its placeholders.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let (plain, braced) = rest.split_at(start);
        push_plain(&mut pieces, plain);
        let inside = braced.get(2..).unwrap_or("");
        match inside.split_once("}}") {
            Some((name, after)) if !name.contains(['{', '}']) => {
                pieces.push(Piece::Parameter(name));
                rest = after;
            }
            Some(_) | None => {
                pieces.push(Piece::Broken("{{"));
                rest = inside;
            }
        }
    }
    push_plain(&mut pieces, rest);
    pieces
}

fn push_plain<'a>(pieces: &mut Vec<Piece<'a>>, plain: &'a str) {
    if plain.contains("}}") {
        pieces.push(Piece::Broken("}}"));
    }
    if !plain.is_empty() {
        pieces.push(Piece::Plain(plain));
    }
}

/// Whether a character is shown as a picture: the blocks that hold nearly all of them.
fn is_emoji(c: char) -> bool {
    matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{fe0f}' | '\u{2b50}' | '\u{2b55}')
}
