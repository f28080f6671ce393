//! Where the reference store can be broken on purpose (feature `mutants`), to test its suite.
//!
//! Each branch is wrong in one small way. Without the feature the macro leaves nothing of it behind, and
//! without a flaw everything does what the store does.

#[cfg(feature = "mutants")]
mod judging;
#[cfg(feature = "mutants")]
mod wrong;

#[cfg(feature = "mutants")]
pub(super) use self::judging::{admitted, judged};
#[cfg(feature = "mutants")]
pub(super) use self::wrong::*;

/// What a store with a flaw does instead of what it should do.
#[cfg(feature = "mutants")]
macro_rules! flawed {
    ($of:expr, $flaw:ident => $wrong:expr, $right:expr) => {
        if $of.flaw == Some($crate::testing::Flaw::$flaw) { $wrong } else { $right }
    };
    ($of:expr, $flaw:ident => $wrong:block) => {
        if $of.flaw == Some($crate::testing::Flaw::$flaw) $wrong
    };
    ($of:expr, $flaw:ident) => {
        $of.flaw == Some($crate::testing::Flaw::$flaw)
    };
}

#[cfg(not(feature = "mutants"))]
macro_rules! flawed {
    ($of:expr, $flaw:ident => $wrong:expr, $right:expr) => {{ $right }};
    ($of:expr, $flaw:ident => $wrong:block) => {};
    ($of:expr, $flaw:ident) => {
        false
    };
}

pub(super) use flawed;
