//! Names that a provider may add to: the ones that are known, and the others as they are.

/// Declares an enum of known names and `Other`, which keeps any further one.
///
/// Known names are compared exactly; what turns a provider's spelling into them is its adapter's.
macro_rules! open_names {
    ($(#[$meta:meta])* $type:ident { $($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(from = "String", into = "String")]
        #[non_exhaustive]
        pub enum $type {
            $($(#[$doc])* $variant,)*
            /// A name that this version does not know.
            Other(String),
        }

        impl $type {
            /// Every known one.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant),*];

            /// The name in lower case, as stored; another one as its adapter gave it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other(name) => name,
                }
            }
        }

        impl From<&str> for $type {
            fn from(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)*
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl From<String> for $type {
            fn from(name: String) -> Self {
                Self::from(name.as_str())
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.as_str().to_owned()
            }
        }
    };
}
pub(super) use open_names;
