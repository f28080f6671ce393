//! What must hold in every store, as queries that both databases understand.
//!
//! Invariant: each query gives the tenant, the message and a line of what does not hold, and nothing
//! where all is well. They read whole tables. What a recount is needed for is in `recount`.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use wa_core::model::{Category, Consent, ConsentSource, Finding, Invariant};
use wa_core::rules::consent::refusal;
use wa_core::rules::window::LENGTH;

/// Where the databases differ.
pub(crate) struct Dialect {
    /// An id that is none.
    pub(crate) none: &'static str,
    /// A span as it is added to instants.
    pub(crate) span: fn(TimeDelta) -> String,
}

/// By how much clocks may differ: what a user wrote bears the instant of whoever received it, and what a
/// file says about consent that of the begin of its commit.
const SKEW: TimeDelta = TimeDelta::minutes(1);

/// Findings of which each invariant has at most so many.
pub(crate) struct Bounded {
    limit: u32,
    found: BTreeMap<Invariant, Vec<Finding>>,
}

impl Bounded {
    pub(crate) const fn new(limit: u32) -> Self {
        Self { limit, found: BTreeMap::new() }
    }

    /// Adds a finding; the first ones of an invariant count.
    pub(crate) fn add(&mut self, finding: Finding) {
        let known = self.found.entry(finding.invariant).or_default();
        if u32::try_from(known.len()).is_ok_and(|len| len < self.limit) {
            known.push(finding);
        }
    }

    /// Behind others, in the order of the invariants.
    pub(crate) fn after(self, mut found: Vec<Finding>) -> Vec<Finding> {
        found.extend(self.found.into_values().flatten());
        found.sort_by_key(|finding| finding.invariant);
        found
    }
}

const CATEGORIES: [Category; 4] =
    [Category::Marketing, Category::Utility, Category::Authentication, Category::Service];

const RESULT_OF: &str = "LEFT JOIN result r ON r.tenant = a.tenant AND r.message = a.message AND r.n = a.n";

/// Whether an attempt did not and will not deliver, as `DeliveryFacts::is_definitely_undelivered` has it.
const UNDELIVERED: &str = "(r.delivered_at IS NULL AND r.read_at IS NULL AND r.played_at IS NULL \
     AND (r.failed_at IS NOT NULL OR (r.accepted_at IS NULL AND r.sent_at IS NULL \
     AND (r.not_sent_at IS NOT NULL OR r.rejected_at IS NOT NULL))))";

/// The queries, each with at most `limit` rows.
pub(crate) fn queries(dialect: &Dialect, limit: u32) -> Vec<(Invariant, String)> {
    let all = [
        (Invariant::OneDelivery, one_delivery()),
        (Invariant::Attempts, attempts()),
        (Invariant::OnePlace, one_place()),
        (Invariant::Tier, tier(dialect)),
        (Invariant::Window, window(dialect)),
        (Invariant::Consent, consent(dialect)),
    ];
    let bounded =
        |sql| format!("SELECT tenant, message, line FROM ({sql}) AS found ORDER BY 1, 2, 3 LIMIT {limit}");
    all.into_iter().map(|(invariant, sql)| (invariant, bounded(sql))).collect()
}

/// Whether the policy of an attempt's message, or one that it may have fallen under, sends again what is in
/// doubt. The names of those policies begin with `resend`.
const MAY_RESEND: &str = "(EXISTS (SELECT 1 FROM single s WHERE s.tenant = a.tenant AND s.message = a.message \
     AND s.in_doubt LIKE '%\"resend%') \
     OR EXISTS (SELECT 1 FROM message m JOIN campaign c ON c.tenant = m.tenant AND c.id = m.campaign \
     WHERE m.tenant = a.tenant AND m.id = a.message AND c.in_doubt LIKE '%\"resend%') \
     OR EXISTS (SELECT 1 FROM tenant t WHERE t.id = a.tenant AND t.settings LIKE '%\"resend_after%'))";

fn one_delivery() -> String {
    format!(
        "SELECT a.tenant, a.message, CAST(count(*) AS TEXT) || ' attempts may have been delivered' AS line \
         FROM attempt a {RESULT_OF} WHERE NOT {UNDELIVERED} AND NOT {MAY_RESEND} \
         AND EXISTS (SELECT 1 FROM tenant t WHERE t.id = a.tenant) \
         GROUP BY a.tenant, a.message HAVING count(*) > 1"
    )
}

fn attempts() -> String {
    let line = |table: &str, what: &str| {
        format!(
            "SELECT x.tenant, x.message, 'attempt ' || CAST(x.n AS TEXT) || ' {what}' AS line FROM {table} x"
        )
    };
    let of = |table: &str| {
        format!(
            "EXISTS (SELECT 1 FROM {table} y WHERE y.tenant = x.tenant AND y.message = x.message AND y.n = x.n)"
        )
    };
    [
        format!("{} WHERE NOT {}", line("open_attempt", "is watched and not kept"), of("attempt")),
        format!("{} WHERE NOT {}", line("result", "has an outcome and is not kept"), of("attempt")),
        format!("{} WHERE {}", line("open_attempt", "is watched and has an outcome"), of("result")),
        format!(
            "{} WHERE NOT {} AND NOT {}",
            line("attempt", "has no outcome and is not watched"),
            of("result"),
            of("open_attempt")
        ),
    ]
    .join(" UNION ALL ")
}

fn one_place() -> String {
    let is_closed = |of: &str| {
        format!("EXISTS (SELECT 1 FROM closed c WHERE c.tenant = {of}.tenant AND c.message = {of}.message)")
    };
    let in_range = "f.tenant = x.tenant AND f.campaign = x.campaign AND x.message > f.after_id \
         AND x.message <= f.last_id";
    [
        format!(
            "SELECT x.tenant, x.message, 'it is closed and waits in a row' AS line FROM due x WHERE {}",
            is_closed("x")
        ),
        format!(
            "SELECT x.tenant, x.message, 'it waits in its feed and in a row' AS line FROM due x \
             WHERE NOT {} AND EXISTS (SELECT 1 FROM feed f WHERE {in_range} AND f.remaining > 0 \
             AND f.cancelled_at IS NULL)",
            is_closed("x")
        ),
        format!(
            "SELECT x.tenant, x.message, 'it waits nowhere, is not closed and was never begun' AS line \
             FROM (SELECT m.tenant, m.id AS message, m.campaign FROM message m) x WHERE NOT {} \
             AND NOT EXISTS (SELECT 1 FROM due d WHERE d.tenant = x.tenant AND d.message = x.message) \
             AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.tenant = x.tenant AND a.message = x.message) \
             AND NOT EXISTS (SELECT 1 FROM feed f WHERE {in_range})",
            is_closed("x")
        ),
    ]
    .join(" UNION ALL ")
}

fn tier(dialect: &Dialect) -> String {
    let none = dialect.none;
    format!(
        "SELECT {none} AS tenant, {none} AS message, 'portfolio ' || portfolio || ' counts ' \
         || CAST(sum(used) AS TEXT) || ' slots and has ' || CAST(sum(slots) AS TEXT) AS line \
         FROM (SELECT portfolio, used, 0 AS slots FROM tier_usage \
             UNION ALL SELECT portfolio, 0, 1 FROM tier_slot) u \
         GROUP BY portfolio HAVING sum(used) <> sum(slots)"
    )
}

/// Attempts that went in a window, without a message from whoever may have been the recipient's contact at the time:
/// contacts become one, and addresses pass from one to another.
fn window(dialect: &Dialect) -> String {
    let (length, skew) = ((dialect.span)(LENGTH), (dialect.span)(SKEW));
    let wrote = format!(
        "FROM inbound i WHERE i.session = a.session AND i.opens AND i.at > a.begun_at - {length} \
         AND i.at <= a.begun_at + {skew}"
    );
    format!(
        "SELECT a.tenant, a.message, 'attempt ' || CAST(a.n AS TEXT) || ' began outside its window' AS line \
         FROM attempt a JOIN message m ON m.tenant = a.tenant AND m.id = a.message WHERE a.in_window \
         AND NOT CASE WHEN EXISTS (SELECT 1 {wrote} AND i.contact IN (SELECT m.contact \
             UNION ALL SELECT l.contact FROM contact_alias l WHERE l.tenant = m.tenant AND l.alias = m.contact \
             UNION ALL SELECT c.id FROM contact c WHERE c.tenant = m.tenant AND c.phone = m.phone \
             UNION ALL SELECT c.id FROM contact c WHERE c.tenant = m.tenant AND c.bsuid = m.bsuid \
             UNION ALL SELECT f.contact FROM former_address f \
                 WHERE f.tenant = m.tenant AND f.recipient = a.recipient)) THEN true \
         ELSE EXISTS (SELECT 1 {wrote} AND i.tenant = m.tenant AND (i.phone = m.phone OR i.bsuid = m.bsuid)) END"
    )
}

fn consent(dialect: &Dialect) -> String {
    let refused: Vec<String> = Consent::ALL
        .iter()
        .flat_map(|consent| CATEGORIES.map(|category| (*consent, category)))
        .filter(|(consent, category)| refusal(*consent, *category).is_some())
        .map(|(consent, category)| format!("('{}', '{}')", consent.as_str(), category.as_str()))
        .collect();
    let after = |contact: &str| {
        format!(
            "SELECT a.tenant, a.message, 'attempt ' || CAST(a.n AS TEXT) \
             || ' began after its recipient had refused it' AS line \
             FROM contact c JOIN message m ON m.tenant = c.tenant AND {contact} \
             JOIN attempt a ON a.tenant = m.tenant AND a.message = m.id \
             WHERE (c.consent, a.category) IN (VALUES {refused}) AND a.begun_at > c.consent_at \
             AND (c.consent_source IS NULL OR c.consent_source <> '{file}' OR a.begun_at > c.consent_at + {skew})",
            refused = refused.join(", "),
            file = ConsentSource::Import.as_str(),
            skew = (dialect.span)(SKEW),
        )
    };
    // A message without campaign goes by its address: it was this contact's at the begin where it never had
    // another.
    let only = "NOT EXISTS (SELECT 1 FROM contact_alias l WHERE l.tenant = c.tenant AND l.contact = c.id) \
         AND NOT EXISTS (SELECT 1 FROM former_address f WHERE f.tenant = c.tenant AND f.contact = c.id)";
    let suppressed = |address: &str| {
        format!(
            "SELECT a.tenant, a.message, 'attempt ' || CAST(a.n AS TEXT) \
             || ' began after its address was suppressed' AS line \
             FROM suppressed s JOIN message m ON m.tenant = s.tenant AND s.address = {address} \
             JOIN attempt a ON a.tenant = m.tenant AND a.message = m.id AND a.begun_at > s.at"
        )
    };
    [
        after("m.campaign IS NOT NULL AND m.contact = c.id"),
        after(&format!("m.campaign IS NULL AND m.phone = c.phone AND c.bsuid IS NULL AND {only}")),
        after(&format!(
            "m.campaign IS NULL AND m.phone IS NULL AND m.bsuid = c.bsuid AND c.phone IS NULL AND {only}"
        )),
        suppressed("'+' || CAST(m.phone AS TEXT)"),
        suppressed("m.bsuid"),
    ]
    .join(" UNION ")
}
