//! Values that cases write down, and checks of what a store answers.

use std::sync::Arc;

use crate::model::{
    CampaignContent, Category, Content, FailureCode, Outcome, Phone, RejectClass, TemplateContent,
};
use crate::port::store::StoreError;
use crate::rules::judge::{Judge, StandardJudge};

/// The value of a call that must succeed.
#[track_caller]
pub(super) fn must<T>(result: Result<T, StoreError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store failed: {error} ({:?}), {error:?}", error.kind()),
    }
}

/// The value of a call that must find something.
#[track_caller]
pub(super) fn found<T>(result: Result<Option<T>, StoreError>) -> T {
    must(result).expect("the store finds what was put in")
}

/// The only element.
#[track_caller]
pub(super) fn only<T: std::fmt::Debug>(items: Vec<T>) -> T {
    assert_eq!(items.len(), 1, "exactly one is expected of {items:?}");
    items.into_iter().next().expect("one element")
}

/// Fails where pages go on and on: a store that repeats the last row fails its case and does not hang it.
#[track_caller]
pub(super) fn ends<T>(paged: &[T]) {
    assert!(paged.len() < 5_000, "the pages do not end");
}

/// A list, sorted.
pub(super) fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort();
    items
}

/// Every order of the places `0 .. n`.
pub(super) fn orders(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for shorter in orders(n - 1) {
        for place in 0..n {
            let mut order = shorter.clone();
            order.insert(place, n - 1);
            all.push(order);
        }
    }
    all
}

/// Reads a value that a case writes as a literal.
#[track_caller]
pub(super) fn value<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is a valid value"))
}

/// A phone that no helper gives out on its own.
#[track_caller]
pub(super) fn phone(digits: &str) -> Phone {
    Phone::from_digits(digits).expect("a phone")
}

pub(super) fn accepted(provider_id: &str) -> Outcome {
    Outcome::Accepted { provider_id: provider_id.to_owned() }
}

pub(super) fn rejected(class: RejectClass, code: i64) -> Outcome {
    Outcome::Rejected(failure(class, code))
}

pub(super) fn failure(class: RejectClass, code: i64) -> FailureCode {
    FailureCode { code, class, title: "refused by the suite".to_owned(), details: None }
}

/// A template without placeholders.
pub(super) fn template(name: &str, category: Category) -> Content {
    let content = TemplateContent::with_body(value(name), value("en_US"), category, []);
    Content::Template(content.expect("a template"))
}

/// A template that greets by the attribute `name`.
pub(super) fn greeting(category: Category) -> CampaignContent {
    let texts = ["{{name}}".to_owned()];
    let content = TemplateContent::with_body(value("greeting"), value("en_US"), category, texts);
    CampaignContent::new(Content::Template(content.expect("a template")))
}

pub(super) fn standard() -> Arc<dyn Judge> {
    Arc::new(StandardJudge::default())
}
