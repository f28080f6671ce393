//! Every text of some content, for filling the placeholders of a campaign.
//!
//! Invariant: a field that a person or a column may write goes through `map_texts`; numbers, dates,
//! amounts and choices do not. What comes out may break a limit: it is checked again.

use std::collections::BTreeMap;

/// Makes a text from a text.
pub(crate) type Fill<'f, E> = dyn FnMut(&str) -> Result<String, E> + 'f;

/// A value whose texts can be written anew.
pub(crate) trait Texts: Sized {
    /// The same value with every text passed through `fill`, in reading order.
    fn map_texts<E>(&self, fill: &mut Fill<'_, E>) -> Result<Self, E>;
}

impl Texts for String {
    fn map_texts<E>(&self, fill: &mut Fill<'_, E>) -> Result<Self, E> {
        fill(self)
    }
}

impl<T: Texts> Texts for Option<T> {
    fn map_texts<E>(&self, fill: &mut Fill<'_, E>) -> Result<Self, E> {
        self.as_ref().map(|value| value.map_texts(fill)).transpose()
    }
}

impl<T: Texts> Texts for Vec<T> {
    fn map_texts<E>(&self, fill: &mut Fill<'_, E>) -> Result<Self, E> {
        self.iter().map(|value| value.map_texts(fill)).collect()
    }
}

impl<T: Texts> Texts for Box<T> {
    fn map_texts<E>(&self, fill: &mut Fill<'_, E>) -> Result<Self, E> {
        (**self).map_texts(fill).map(Self::new)
    }
}

impl<T: Texts> Texts for BTreeMap<String, T> {
    fn map_texts<E>(&self, fill: &mut Fill<'_, E>) -> Result<Self, E> {
        self.iter().map(|(key, value)| Ok((key.clone(), value.map_texts(fill)?))).collect()
    }
}

/// Implements [`Texts`] for a struct: what is filled, and what is kept as it is.
macro_rules! texts {
    ($type:ident { $($text:ident),* $(,)? } $(keep { $($kept:ident),* $(,)? })?) => {
        impl $crate::model::content::texts::Texts for $type {
            fn map_texts<E>(
                &self,
                fill: &mut $crate::model::content::texts::Fill<'_, E>,
            ) -> Result<Self, E> {
                let Self { $($text,)* $($($kept,)*)? } = self;
                Ok(Self {
                    $($text: $crate::model::content::texts::Texts::map_texts($text, fill)?,)*
                    $($($kept: $kept.clone(),)*)?
                })
            }
        }
    };
}
pub(crate) use texts;
