//! What is wrong with a template, where, and what to do about it.

use std::fmt;

/// One thing that is wrong with a template; `Display` says where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where, such as `body` or `cards[1].buttons[0].text`.
    pub place: String,
    /// What.
    pub issue: Issue,
}

/// How sure it is that the provider refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It may be refused, or shown in a way that was not meant.
    Warning,
    /// It is documented to be refused.
    Error,
}

/// What is wrong with a part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Issue {
    /// A name of other characters than lower-case letters, digits and underscores, or empty.
    Name,
    /// No language code.
    Language,
    /// A category that templates do not have.
    Category,
    /// A component or text that must be there.
    Missing,
    /// More characters than allowed.
    TooLong {
        /// How many it has.
        chars: usize,
        /// How many are allowed.
        most: usize,
    },
    /// Too few or too many.
    Count {
        /// How many there are.
        count: usize,
        /// The fewest.
        least: usize,
        /// The most.
        most: usize,
    },
    /// More placeholders than the place takes.
    TooManyParameters {
        /// How many it has.
        count: usize,
        /// How many are allowed.
        most: usize,
    },
    /// Braces that are no placeholder of the template's format.
    Malformed {
        /// What was found.
        found: String,
    },
    /// A number is left out: placeholders are numbered from 1 without a gap.
    Gap {
        /// The number that is missing.
        missing: usize,
    },
    /// The text starts with a placeholder.
    Leading,
    /// The text ends with a placeholder.
    Trailing,
    /// Nothing but punctuation follows the last placeholder.
    TrailingPunctuation,
    /// Two placeholders with nothing between them.
    Adjacent,
    /// Too few words for so many placeholders.
    TooFewWords {
        /// Words beside the placeholders.
        words: usize,
        /// How many are needed.
        needed: usize,
    },
    /// A placeholder without an example value.
    NoExample {
        /// The placeholder, without braces.
        parameter: String,
    },
    /// A medium without an example.
    NoMediaExample,
    /// A line break where there can be none.
    LineBreak,
    /// An emoji where there can be none.
    Emoji,
    /// A formatting character where it has no effect or is refused.
    Formatting,
    /// More than two line breaks, or more than four spaces, in a row.
    Spacing,
    /// No http or https address.
    NotALink,
    /// A placeholder elsewhere than at the end of an address.
    LinkParameter,
    /// No phone number of at most 20 characters.
    Phone,
    /// The same as an earlier one.
    Repeated,
    /// Quick replies that do not stand together.
    Grouping,
    /// Something that one-time codes do not have; their text is the provider's.
    NotInAuthentication,
    /// A one-time code without the button that passes it on.
    NeedsCodeButton,
    /// A button for one-time codes in another template.
    OnlyInAuthentication,
}

impl Finding {
    pub(super) fn new(place: impl Into<String>, issue: Issue) -> Self {
        Self { place: place.into(), issue }
    }

    /// The component or field, whatever it is a part of.
    fn part(&self) -> &str {
        self.place.rsplit('.').next().unwrap_or("")
    }

    /// How sure it is that the provider refuses.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match &self.issue {
            // Refused in headers and labels; of footers no page says so.
            Issue::Emoji | Issue::Formatting if self.part() == "footer" => Severity::Warning,
            // Unconfirmed by Meta: found out by others (Syniverse, How to avoid too many parameters
            // rejection; Maqsam, Creating WhatsApp templates with variables; both read 2026).
            Issue::TooFewWords { .. } | Issue::TrailingPunctuation | Issue::Spacing => Severity::Warning,
            Issue::Name
            | Issue::Language
            | Issue::Category
            | Issue::Missing
            | Issue::TooLong { .. }
            | Issue::Count { .. }
            | Issue::TooManyParameters { .. }
            | Issue::Malformed { .. }
            | Issue::Gap { .. }
            | Issue::Leading
            | Issue::Trailing
            | Issue::Adjacent
            | Issue::NoExample { .. }
            | Issue::NoMediaExample
            | Issue::LineBreak
            | Issue::Emoji
            | Issue::Formatting
            | Issue::NotALink
            | Issue::LinkParameter
            | Issue::Phone
            | Issue::Repeated
            | Issue::Grouping
            | Issue::NotInAuthentication
            | Issue::NeedsCodeButton
            | Issue::OnlyInAuthentication => Severity::Error,
        }
    }

    /// The code of the error that Meta would answer with, where one is documented.
    #[must_use]
    pub fn code(&self) -> Option<i64> {
        match &self.issue {
            Issue::TooLong { .. } => Some(2_388_040),
            Issue::TooFewWords { .. } => Some(2_388_293),
            Issue::Leading | Issue::Trailing | Issue::TrailingPunctuation => Some(2_388_299),
            Issue::LineBreak
            | Issue::Emoji
            | Issue::Formatting
            | Issue::TooManyParameters { .. }
            | Issue::Malformed { .. }
            | Issue::Gap { .. }
            | Issue::Adjacent
            | Issue::Spacing => match self.part() {
                "header" => Some(2_388_047),
                "body" => Some(2_388_072),
                "footer" => Some(2_388_073),
                _ => None,
            },
            Issue::Name
            | Issue::Language
            | Issue::Category
            | Issue::Missing
            | Issue::Count { .. }
            | Issue::NoExample { .. }
            | Issue::NoMediaExample
            | Issue::NotALink
            | Issue::LinkParameter
            | Issue::Phone
            | Issue::Repeated
            | Issue::Grouping
            | Issue::NotInAuthentication
            | Issue::NeedsCodeButton
            | Issue::OnlyInAuthentication => None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.issue)
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::TooLong { chars, most } => {
                return write!(f, "{chars} characters; shorten it to {most}");
            }
            Self::Count { count, least, most } => {
                return write!(f, "there are {count}; keep {least} to {most}");
            }
            Self::TooManyParameters { count: 1, most: 0 } => "a placeholder; write the text out",
            Self::TooManyParameters { count, most } => {
                return write!(f, "{count} placeholders; keep at most {most}");
            }
            Self::Malformed { found } => {
                return write!(
                    f,
                    "{found} is no placeholder; write {{{{1}}}} or, in a template with names, {{{{first_name}}}}"
                );
            }
            Self::Gap { missing } => {
                return write!(f, "{{{{{missing}}}}} is missing; number placeholders from 1 without a gap");
            }
            Self::TooFewWords { words, needed } => {
                return write!(
                    f,
                    "{words} words beside the placeholders; write at least {needed}, or use fewer placeholders"
                );
            }
            Self::NoExample { parameter } => {
                return write!(f, "no example for {{{{{parameter}}}}}; give one");
            }
            Self::Name => "use lower-case letters, digits and underscores only",
            Self::Language => "write a language code such as en_US or de",
            Self::Category => "choose marketing, utility or authentication",
            Self::Missing => "it must be there and hold text",
            Self::Leading => "starts with a placeholder; put a word before it",
            Self::Trailing => "ends with a placeholder; put a word after it",
            Self::TrailingPunctuation => "only punctuation follows the last placeholder; put a word after it",
            Self::Adjacent => "two placeholders side by side; put a word between them, or make them one",
            Self::NoMediaExample => "no example of its medium; upload one and give its handle",
            Self::LineBreak => "a line break; write it in one line",
            Self::Emoji => "an emoji; leave it out",
            Self::Formatting => "a formatting character (* _ ~ `); leave it out",
            Self::Spacing => "more than two line breaks or four spaces in a row; leave some out",
            Self::NotALink => "no address; start with https://",
            Self::LinkParameter => "put the one placeholder of an address at its end",
            Self::Phone => "write a phone number of at most 20 digits, plus sign and spaces included",
            Self::Repeated => "the same as an earlier one; give each its own",
            Self::Grouping => "put all quick replies together, before or after the other buttons",
            Self::NotInAuthentication => "a one-time code has none of its own; leave it out",
            Self::NeedsCodeButton => "add the OTP button that passes the code on",
            Self::OnlyInAuthentication => "an OTP button belongs to a one-time code; leave it out",
        };
        f.write_str(text)
    }
}
