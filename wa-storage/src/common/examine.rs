//! What must hold in every store, as queries that both databases understand.
//!
//! Invariant: each query gives the tenant, the message and a line of what does not hold, and nothing
//! where all is well. They read whole tables.

use wa_core::model::Invariant;

/// Where the databases differ.
pub(crate) struct Dialect {
    /// An id that is none.
    pub(crate) none: &'static str,
    /// The text of an id in a column.
    pub(crate) id_text: fn(&str) -> String,
    /// The month of `a.begun_at`, as quotas name it.
    pub(crate) month: &'static str,
}

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
        (Invariant::Counts, counts(dialect)),
        (Invariant::Tier, tier(dialect)),
        (Invariant::Quota, quota(dialect)),
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

fn counts(dialect: &Dialect) -> String {
    let Dialect { none, id_text, .. } = dialect;
    format!(
        "SELECT f.tenant, {none} AS message, 'campaign ' || {campaign} || ' has ' || CAST(f.n AS TEXT) \
         || ' messages and counts ' || CAST(coalesce(t.audience, 0) AS TEXT) || ' in all and ' \
         || CAST(coalesce(t.states, 0) AS TEXT) || ' by state' AS line \
         FROM (SELECT tenant, campaign, count(*) AS n FROM message WHERE campaign IS NOT NULL \
             GROUP BY tenant, campaign) f \
         LEFT JOIN (SELECT tenant, campaign, sum(CASE WHEN counter = 'audience' THEN n ELSE 0 END) AS audience, \
             sum(CASE WHEN counter IN ('pending', 'attempting', 'accepted', 'failed', 'in_doubt', 'skipped') \
                 THEN n ELSE 0 END) AS states \
             FROM (SELECT tenant, campaign, counter, n FROM campaign_count \
                 UNION ALL SELECT tenant, campaign, counter, n FROM delta) u GROUP BY tenant, campaign) t \
         ON t.tenant = f.tenant AND t.campaign = f.campaign \
         WHERE coalesce(t.audience, 0) <> f.n OR coalesce(t.states, 0) <> f.n",
        campaign = id_text("f.campaign"),
    )
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

fn quota(dialect: &Dialect) -> String {
    let Dialect { none, month, .. } = dialect;
    format!(
        "SELECT tenant, {none} AS message, period || ' counts ' || CAST(sum(used) AS TEXT) \
         || ' messages, and ' || CAST(sum(kept) AS TEXT) || ' were begun and not given back' AS line \
         FROM (SELECT tenant, period, used, 0 AS kept FROM quota_usage \
             UNION ALL SELECT a.tenant, {month}, 0, 1 FROM attempt a {RESULT_OF} WHERE r.released_at IS NULL) u \
         GROUP BY tenant, period HAVING sum(used) <> sum(kept)"
    )
}
