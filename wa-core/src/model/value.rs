//! Small text values: a text that fits its rule, and an error that says what and why otherwise.

/// Why a small value is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {rule}")]
pub struct ValueError {
    what: &'static str,
    rule: &'static str,
}

impl ValueError {
    pub(crate) const fn new(what: &'static str, rule: &'static str) -> Self {
        Self { what, rule }
    }
}

/// A name that people give: 1 to 200 characters, not all of them white space, none a control character.
pub(crate) fn is_label(text: &str) -> bool {
    let chars = text.chars().count();
    (1..=200).contains(&chars) && !text.trim().is_empty() && !text.chars().any(char::is_control)
}

/// A name that programs give: 1 to `most` visible ASCII characters.
pub(crate) fn is_token(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Implements a text value: reading it back, parsing, and both ways of serde.
macro_rules! text_value {
    ($name:ident, $what:literal, $rule:literal, $fits:expr) => {
        impl $name {
            /// The text inside.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::model::ValueError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let fits: fn(&str) -> bool = $fits;
                if fits(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err($crate::model::ValueError::new($what, $rule))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::model::ValueError;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}
pub(crate) use text_value;
