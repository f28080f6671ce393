//! What the suites of the smaller seams make of their lists of clauses.

/// The cases of a suite: `Case` and the module `cases` are those of the place where it stands.
#[doc(hidden)]
#[macro_export]
macro_rules! __suite_cases {
    ([] $($clause:ident)*) => {
        vec![$(Case {
            clause: stringify!($clause),
            run: |fixture| Box::pin(cases::$clause(fixture)),
        }),*]
    };
}

/// A test for each case, in a module of this name; `$suite` is the suite's own module here.
#[doc(hidden)]
#[macro_export]
macro_rules! __suite_tests {
    ([$name:ident $suite:ident $fixture:expr] $($clause:ident)*) => {
        mod $name {
            #[allow(unused_imports)] // a fixture may be named by its full path
            use super::*;
            $(
                #[tokio::test]
                async fn $clause() {
                    $crate::testing::$suite::check(&$fixture, stringify!($clause)).await;
                }
            )*
        }
    };
}
