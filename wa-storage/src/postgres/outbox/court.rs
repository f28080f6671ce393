//! Reads everything that a judge is told of a batch: one statement, one instant.
//!
//! Invariant: the statement runs after the locks, and its first row carries what all items share.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::str::FromStr;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use uuid::Uuid;
use wa_core::model::{
    Breaker, BreakerReason, BreakerScope, BudgetOf, BudgetUse, CampaignId, CampaignState, Category, Consent,
    ContactId, Entitlement, HoldReason, IncarnationId, MessageId, Money, Period, SessionId, TenantId,
    TenantSettings, WorkerId,
};
use wa_core::port::store::BeginItem;
use wa_core::rules::touch::Touch;
use wa_core::rules::{warmup, window};

use crate::common::begin::Feed;
use crate::common::court::{Budgets, CampaignFacts, Court, ItemFacts, Shared, goes_by_contact};
use crate::common::message::Due;
use crate::postgres::archive::TIMELINE;
use crate::postgres::codec::{
    addresses, at, get, int, lane_rank, opt_at, opt_id, opt_json, opt_named, opt_uint, phone_number, uint,
    undecodable, uuids,
};
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::inbox::window::free_until;
use crate::postgres::numbers::{SESSION_COLUMNS, session_at};

/// What was read for a batch.
pub(super) struct Bench {
    pub(super) court: Court,
    pub(super) incarnation: Option<IncarnationId>,
    /// The batch id is known already.
    pub(super) is_used: bool,
    pub(super) lease: Option<LeaseRow>,
    pub(super) rows: HashMap<MessageId, (Due, Option<CampaignId>)>,
    pub(super) feeds: BTreeMap<(CampaignId, i64), Feed>,
    pub(super) closed: HashSet<MessageId>,
    /// By the place of the item in the batch.
    pub(super) items: Vec<ItemFacts>,
}

/// Who holds a session.
pub(super) struct LeaseRow {
    pub(super) worker: Option<WorkerId>,
    pub(super) epoch: u64,
    pub(super) until: Option<DateTime<Utc>>,
}

/// What is asked of the database.
pub(super) struct Question<'a> {
    pub(super) tenant: TenantId,
    pub(super) session: SessionId,
    pub(super) portfolio: &'a str,
    pub(super) batch: Option<Uuid>,
    pub(super) items: &'a [BeginItem],
    /// The store's own clock, where it has one.
    pub(super) now: Option<DateTime<Utc>>,
    /// Whether the server's timeline can be compared.
    pub(super) reads_timeline: bool,
}

/// The longest that any setting looks back: a frequency cap of ninety days is the widest.
const TOUCHED_DAYS: i32 = 91;

/// Reads everything; `None` when the session is not the tenant's.
pub(super) async fn read(conn: &mut PgConnection, ask: &Question<'_>) -> Fallible<Option<Bench>> {
    let items = ask.items;
    let by_contact: Vec<Option<Uuid>> = items
        .iter()
        .map(|item| item.contact.filter(|_| goes_by_contact(item)).map(|contact| contact.as_uuid()))
        .collect();
    let phones: Vec<Option<i64>> =
        items.iter().map(|item| item.recipient.phone().map(phone_number)).collect();
    let bsuids: Vec<Option<&str>> = items.iter().map(|item| addresses(&item.recipient).1).collect();
    let keys: Vec<i64> = items.iter().map(|item| item.recipient.key().cast_signed()).collect();
    let campaigns: HashSet<Uuid> =
        items.iter().filter_map(|item| item.campaign).map(|it| it.as_uuid()).collect();
    let budgets: Vec<Vec<u8>> = campaigns.iter().map(|campaign| campaign.as_bytes().to_vec()).collect();
    let rows = sqlx::query(if ask.reads_timeline { WITH_TIMELINE.as_str() } else { FACTS.as_str() })
        .bind(ask.now)
        .bind(ask.tenant.as_uuid())
        .bind(ask.session.as_uuid())
        .bind(ask.portfolio)
        .bind(ask.batch)
        .bind(uuids(items.iter().map(|item| item.message)))
        .bind(by_contact)
        .bind(phones)
        .bind(bsuids)
        .bind(keys)
        .bind(campaigns.into_iter().collect::<Vec<_>>())
        .bind(budgets)
        .bind(int(u64::try_from(items.len()).unwrap_or(u64::MAX)))
        .bind(TOUCHED_DAYS)
        .fetch_all(&mut *conn)
        .await?;
    let mut rows = rows.iter();
    let head = rows.next().ok_or(Fault::Broken("the facts of a batch have no first row"))?;
    if get::<Option<Uuid>>(head, SESSION)?.is_none() {
        return Ok(None);
    }
    let shared = shared(head, ask)?;
    let (session, prices) = (shared.session.id, shared.settings.prices.is_some());
    let lease = match opt_uint(head, LEASE + 1)? {
        Some(epoch) => {
            Some(LeaseRow { worker: opt_id(head, LEASE)?, epoch, until: opt_at(head, LEASE + 2)? })
        }
        None => None,
    };
    let mut bench = Bench {
        incarnation: opt_id(head, HEAD)?,
        is_used: get(head, HEAD + 1)?,
        lease,
        rows: HashMap::new(),
        feeds: feeds(head)?,
        closed: HashSet::new(),
        items: Vec::with_capacity(items.len()),
        court: Court::new(shared),
    };
    for (row, item) in rows.zip(items) {
        if let Some(n) = opt_uint(row, DUE)? {
            let due = Due { n, why: opt_named(row, DUE + 1, HoldReason::from_name)?, at: at(row, DUE + 3)? };
            bench.rows.insert(item.message, (due, opt_id(row, DUE + 2)?));
        }
        if get(row, CLOSED)? {
            bench.closed.insert(item.message);
        }
        let (mut known, contact, referral_at) = item_facts(row)?;
        let told = opt_at(row, ITEM + 5)?;
        // Without prices nothing is dear, and so nothing free.
        known.free_until = match (contact, known.wrote_at) {
            (Some(contact), Some(_)) if prices && referral_at.is_some() => {
                free_until(conn, ask.tenant, session, contact, referral_at).await?
            }
            (Some(_), Some(_)) if prices => window::entry_until(None, None, told),
            _ => None,
        };
        bench.items.push(known);
    }
    Ok(Some(bench))
}

/// Where the columns start.
const CLOCK: usize = 1;
const ITEM: usize = 2;
const DUE: usize = 12;
const CLOSED: usize = 16;
const HEAD: usize = 17;
const LEASE: usize = 19;
const TENANT: usize = 22;
const ARRAYS: usize = 26;
const FEEDS: usize = 49;
const SESSION: usize = 55;
const SESSION_WIDTH: usize = 13;
const AWAITS: usize = SESSION + SESSION_WIDTH + 2;

/// Put together once: they are the same for every batch.
static FACTS: LazyLock<String> = LazyLock::new(|| sql(false));
static WITH_TIMELINE: LazyLock<String> = LazyLock::new(|| sql(true));

fn sql(reads_timeline: bool) -> String {
    // A subquery behind each LEFT JOIN LATERAL is an index lookup per item; a plain join would be left to
    // statistics, which know nothing of an array's length.
    format!(
        "WITH clock AS MATERIALIZED (SELECT coalesce($1::timestamptz, clock_timestamp()) AS now), \
         item AS MATERIALIZED ( \
             SELECT 0::bigint AS place, NULL::uuid AS message, NULL::uuid AS contact, NULL::bigint AS phone, \
                 NULL::text AS bsuid, NULL::bigint AS recipient \
             UNION ALL SELECT u.place, u.message, u.contact, u.phone, u.bsuid, u.recipient \
             FROM unnest($6::uuid[], $7::uuid[], $8::bigint[], $9::text[], $10::bigint[]) WITH ORDINALITY \
             AS u (message, contact, phone, bsuid, recipient, place)) \
         SELECT i.place, clock.now, \
             c.id, c.consent, c.zone, w.last_user_message_at, w.referral_at, e.until, \
             t.ats, t.categories, t.lanes, \
             EXISTS (SELECT 1 FROM tier_slot x WHERE x.portfolio = $4 AND x.recipient = i.recipient \
                 AND x.until > clock.now), \
             d.n, d.why, d.campaign, d.due_at, \
             EXISTS (SELECT 1 FROM closed x WHERE x.tenant = $2 AND x.message = i.message), \
             h.incarnation, h.is_used, h.worker, h.epoch, h.lease_until, \
             h.tenant_settings, h.entitlement, h.book, h.slots_used, \
             h.breaker_templates, h.breaker_languages, h.breaker_reasons, h.breaker_codes, h.breaker_untils, \
             h.breaker_sinces, h.periods, h.period_used, h.slot_ends, h.slot_owners, h.days, h.day_used, \
             h.months, h.month_used, h.budgets, h.currencies, h.committed, h.open, h.last_begun, \
             h.campaigns, h.states, h.limits, h.limit_currencies, \
             h.feed_campaigns, h.feed_places, h.feed_firsts, h.feed_lasts, h.feed_afters, h.next_feeds, \
             {session}, \
             EXISTS (SELECT 1 FROM suppressed x WHERE x.tenant = $2 \
                 AND x.address IN ('+' || i.phone, i.bsuid, '+' || c.phone, c.bsuid)), \
             h.next_ids, h.awaits_reconcile \
         FROM item i \
         CROSS JOIN clock \
         LEFT JOIN LATERAL ( \
             SELECT k.id, k.consent, k.phone, k.bsuid, k.attributes::json ->> 'time_zone' AS zone FROM contact k \
             WHERE k.tenant = $2 AND k.id = coalesce( \
                 (SELECT x.id FROM contact x WHERE x.tenant = $2 AND x.id = i.contact), \
                 (SELECT x.contact FROM contact_alias x WHERE x.tenant = $2 AND x.alias = i.contact), \
                 (SELECT x.id FROM contact x WHERE x.tenant = $2 AND x.phone = i.phone), \
                 (SELECT x.id FROM contact x WHERE x.tenant = $2 AND x.bsuid = i.bsuid)) \
             LIMIT 1) c ON true \
         LEFT JOIN LATERAL (SELECT x.last_user_message_at, x.referral_at FROM service_window x \
             WHERE x.tenant = $2 AND x.session = $3 AND x.contact = c.id LIMIT 1) w ON true \
         LEFT JOIN LATERAL (SELECT x.until FROM entry_point x \
             WHERE x.tenant = $2 AND x.session = $3 AND x.contact = c.id LIMIT 1) e ON true \
         LEFT JOIN LATERAL (SELECT array_agg(x.at ORDER BY x.at DESC, x.message DESC, x.n DESC) AS ats, \
             array_agg(x.category ORDER BY x.at DESC, x.message DESC, x.n DESC) AS categories, \
             array_agg(x.lane ORDER BY x.at DESC, x.message DESC, x.n DESC) AS lanes FROM touch x \
             WHERE x.tenant = $2 AND x.recipient = i.recipient AND x.message <> i.message \
             AND x.at > clock.now - make_interval(days => $14)) t ON true \
         LEFT JOIN LATERAL (SELECT x.n, x.why, x.campaign, x.due_at FROM due x \
             WHERE x.tenant = $2 AND x.message = i.message AND x.session = $3 LIMIT 1) d ON true \
         LEFT JOIN LATERAL ({head}) h ON true \
         ORDER BY i.place",
        session =
            SESSION_COLUMNS.split(", ").map(|column| format!("h.{column}")).collect::<Vec<_>>().join(", "),
        head = head_sql(reads_timeline),
    )
}

fn head_sql(reads_timeline: bool) -> String {
    // A running worker meets a promoted replica here first: its connections are simply made anew.
    let elsewhere = if reads_timeline {
        format!("EXISTS (SELECT 1 FROM origin x WHERE x.one = 1 AND x.timeline <> {TIMELINE})")
    } else {
        "false".to_owned()
    };
    let session =
        SESSION_COLUMNS.split(", ").map(|column| format!("s.{column}")).collect::<Vec<_>>().join(", ");
    format!(
        "SELECT {session}, t.settings AS tenant_settings, t.entitlement, t.book, \
             (SELECT x.incarnation FROM identity x WHERE x.one = 1) AS incarnation, \
             EXISTS (SELECT 1 FROM batch x WHERE x.id = $5) AS is_used, \
             EXISTS (SELECT 1 FROM reconcile_need x WHERE x.one = 1) OR {elsewhere} \
             OR t.held_since IS NOT NULL AS awaits_reconcile, \
             l.worker, l.epoch, l.until AS lease_until, \
             coalesce((SELECT x.used FROM tier_usage x WHERE x.portfolio = $4), 0) \
                 - (SELECT count(*) FROM tier_slot x WHERE x.portfolio = $4 AND x.until <= clock.now) \
                 AS slots_used, \
             b.*, q.*, o.*, y.*, m.*, g.*, p.*, f.*, n.* \
         FROM session s JOIN tenant t ON t.id = s.tenant LEFT JOIN session_lease l ON l.session = s.id \
         CROSS JOIN LATERAL (SELECT array_agg(x.template) AS breaker_templates, \
             array_agg(x.language) AS breaker_languages, array_agg(x.reason) AS breaker_reasons, \
             array_agg(x.code) AS breaker_codes, array_agg(x.until) AS breaker_untils, \
             array_agg(x.since) AS breaker_sinces FROM breaker x \
             WHERE x.tenant = $2 AND x.session = $3 AND (x.until IS NULL OR x.until > clock.now)) b \
         CROSS JOIN LATERAL (SELECT array_agg(x.period) AS periods, array_agg(x.used) AS period_used \
             FROM (SELECT period, used FROM quota_usage WHERE tenant = $2 ORDER BY period DESC LIMIT 3) x) q \
         CROSS JOIN LATERAL (SELECT array_agg(x.until ORDER BY x.until) AS slot_ends, \
             array_agg(x.recipient ORDER BY x.until) AS slot_owners \
             FROM (SELECT until, recipient FROM tier_slot \
                 WHERE s.tier IS NOT NULL AND portfolio = $4 AND until > clock.now \
                 ORDER BY until LIMIT $13 + 1) x) o \
         CROSS JOIN LATERAL (SELECT array_agg(x.day) AS days, array_agg(x.used) AS day_used \
             FROM (SELECT day, used FROM warm_up_usage WHERE session = $3 ORDER BY day DESC LIMIT 3) x) y \
         CROSS JOIN LATERAL (SELECT array_agg(x.month) AS months, array_agg(x.used) AS month_used \
             FROM (SELECT month, used FROM service_usage WHERE session = $3 ORDER BY month DESC LIMIT 3) x) m \
         CROSS JOIN LATERAL (SELECT array_agg(x.of) AS budgets, array_agg(x.currency) AS currencies, \
             array_agg(x.committed) AS committed, array_agg(x.open) AS open, \
             array_agg(x.last_begun_at) AS last_begun \
             FROM (SELECT * FROM budget_use WHERE tenant = $2 AND of = ANY ($12::bytea[]) \
                 UNION ALL SELECT * FROM budget_use WHERE tenant = $2 AND of = ''::bytea \
                 UNION ALL SELECT * FROM budget_use WHERE tenant = $2 \
                     AND of BETWEEN '1'::bytea AND '9999-12'::bytea AND length(of) = 7) x) g \
         CROSS JOIN LATERAL (SELECT array_agg(x.id) AS campaigns, array_agg(x.state) AS states, \
             array_agg(x.budget) AS limits, array_agg(x.budget_currency) AS limit_currencies \
             FROM campaign x WHERE x.tenant = $2 AND x.id = ANY ($11::uuid[])) p \
         CROSS JOIN LATERAL (SELECT array_agg(x.campaign ORDER BY x.campaign, x.place) AS feed_campaigns, \
             array_agg(x.place ORDER BY x.campaign, x.place) AS feed_places, \
             array_agg(x.first_id ORDER BY x.campaign, x.place) AS feed_firsts, \
             array_agg(x.last_id ORDER BY x.campaign, x.place) AS feed_lasts, \
             array_agg(x.after_id ORDER BY x.campaign, x.place) AS feed_afters FROM feed x \
             WHERE x.tenant = $2 AND x.campaign = ANY ($11::uuid[]) AND x.session = $3 \
             AND x.remaining > 0 AND x.cancelled_at IS NULL) f \
         CROSS JOIN LATERAL (SELECT array_agg(v.place ORDER BY v.place, z.id) AS next_feeds, \
             array_agg(z.id ORDER BY v.place, z.id) AS next_ids \
             FROM unnest(f.feed_campaigns, f.feed_lasts, f.feed_afters) WITH ORDINALITY \
                 AS v (campaign, last_id, after_id, place) \
             CROSS JOIN LATERAL (SELECT x.id FROM message x \
                 WHERE x.tenant = $2 AND x.id > v.after_id AND x.id <= v.last_id AND x.campaign = v.campaign \
                 AND NOT EXISTS (SELECT 1 FROM closed y WHERE y.tenant = x.tenant AND y.message = x.id) \
                 ORDER BY x.id LIMIT $13) z) n \
         WHERE i.place = 0 AND s.id = $3 AND s.tenant = $2"
    )
}

fn shared(row: &PgRow, ask: &Question<'_>) -> Fallible<Shared> {
    let now = at(row, CLOCK)?;
    let session = session_at(row, SESSION)?;
    let settings: TenantSettings = opt_json(row, TENANT)?.unwrap_or_default();
    let entitlement = opt_json(row, TENANT + 1)?.unwrap_or_else(Entitlement::unlimited);
    let mut list = Lists { row, column: ARRAYS };
    let (mut breaker, mut templates) = (None, HashMap::new());
    let names: Vec<String> = list.next()?;
    let (languages, reasons): (Vec<String>, Vec<String>) = (list.next()?, list.next()?);
    let codes: Vec<i64> = list.next()?;
    let (untils, sinces): (Vec<Option<DateTime<Utc>>>, Vec<DateTime<Utc>>) = (list.next()?, list.next()?);
    let rest = languages.into_iter().zip(reasons).zip(codes).zip(untils).zip(sinces);
    for (name, ((((language, reason), code), until), since)) in names.into_iter().zip(rest) {
        let reason = BreakerReason::from_name(&reason).ok_or_else(|| undecodable(ARRAYS))?;
        if name.is_empty() {
            breaker = Some(Breaker { scope: BreakerScope::Session(ask.session), reason, code, until, since });
        } else {
            let key = (word(&name)?, word(&language)?);
            let scope = BreakerScope::Template(ask.session, word(&name)?, word(&language)?);
            templates.insert(key, Breaker { scope, reason, code, until, since });
        }
    }
    let (periods, used): (Vec<String>, Vec<i64>) = (list.next()?, list.next()?);
    let quota_used = counted(&periods, &used, &Period::of(now).to_string());
    let (ends, owners): (Vec<DateTime<Utc>>, Vec<i64>) = (list.next()?, list.next()?);
    let slots = ends.into_iter().zip(owners.into_iter().map(i64::cast_unsigned)).collect();
    let (days, used): (Vec<i64>, Vec<i64>) = (list.next()?, list.next()?);
    let warm_up_used = warmup::today(&session, &settings.time_zone, now)
        .map_or(0, |day| counted(&days, &used, &i64::from(day.number)));
    let (months, used): (Vec<String>, Vec<i64>) = (list.next()?, list.next()?);
    let service_used = counted(&months, &used, &Period::at(now, settings.billing_offset).to_string());
    let budgets = budgets(&mut list)?;
    let campaigns = campaigns(&mut list)?;
    Ok(Shared {
        now,
        awaits_reconcile: get(row, AWAITS)?,
        tenant: ask.tenant,
        breaker,
        templates,
        quota_used,
        slots_used: uint::<i64>(row, TENANT + 3).map(|used| u32::try_from(used).unwrap_or(0))?,
        slots,
        warm_up_used,
        service_used,
        book: get(row, TENANT + 2)?,
        campaigns,
        budgets,
        session,
        settings,
        entitlement,
    })
}

fn budgets(list: &mut Lists<'_>) -> Fallible<Budgets> {
    let (of, currencies): (Vec<Vec<u8>>, Vec<String>) = (list.next()?, list.next()?);
    let (committed, open): (Vec<i64>, Vec<i64>) = (list.next()?, list.next()?);
    let last: Vec<Option<DateTime<Utc>>> = list.next()?;
    let mut budgets = HashMap::new();
    let uses = committed.into_iter().zip(open).zip(last);
    for ((of, currency), ((committed, open), last)) in of.into_iter().zip(currencies).zip(uses) {
        let of = match <[u8; 16]>::try_from(of.as_slice()) {
            Ok(campaign) => BudgetOf::Campaign(CampaignId::from_uuid(Uuid::from_bytes(campaign))),
            Err(_) if of.is_empty() => BudgetOf::Total,
            Err(_) => {
                let month = std::str::from_utf8(&of).map_err(|_| undecodable(ARRAYS))?;
                BudgetOf::Month(word(month)?)
            }
        };
        budgets.insert((of, word(&currency)?), (BudgetUse { committed, open }, last));
    }
    Ok(budgets)
}

fn campaigns(list: &mut Lists<'_>) -> Fallible<HashMap<CampaignId, CampaignFacts>> {
    let (ids, states): (Vec<Uuid>, Vec<String>) = (list.next()?, list.next()?);
    let (limits, currencies): (Vec<Option<i64>>, Vec<Option<String>>) = (list.next()?, list.next()?);
    let mut campaigns = HashMap::new();
    for ((id, state), (limit, currency)) in
        ids.into_iter().zip(states).zip(limits.into_iter().zip(currencies))
    {
        let budget = match limit.zip(currency) {
            Some((micros, currency)) => Some(Money { micros, currency: word(&currency)? }),
            None => None,
        };
        let state = CampaignState::from_name(&state).ok_or_else(|| undecodable(ARRAYS))?;
        campaigns.insert(CampaignId::from_uuid(id), CampaignFacts { state, budget });
    }
    Ok(campaigns)
}

fn feeds(row: &PgRow) -> Fallible<BTreeMap<(CampaignId, i64), Feed>> {
    let mut list = Lists { row, column: FEEDS };
    let (campaigns, places): (Vec<Uuid>, Vec<i64>) = (list.next()?, list.next()?);
    let (firsts, lasts): (Vec<Uuid>, Vec<Uuid>) = (list.next()?, list.next()?);
    let (afters, of): (Vec<Uuid>, Vec<i64>) = (list.next()?, list.next()?);
    let ids: Vec<Uuid> = get::<Option<Vec<Uuid>>>(row, SESSION + SESSION_WIDTH + 1)?.unwrap_or_default();
    let mut next = of.into_iter().zip(ids).peekable();
    let mut feeds = BTreeMap::new();
    let ranges = firsts.into_iter().zip(lasts).zip(afters);
    for (number, ((campaign, place), ((first, last), after))) in
        (1_i64..).zip(campaigns.into_iter().zip(places).zip(ranges))
    {
        let mut upcoming = std::collections::VecDeque::new();
        while let Some((_, id)) = next.next_if(|(of, _)| *of == number) {
            upcoming.push_back(MessageId::from_uuid(id));
        }
        let feed = Feed {
            first: MessageId::from_uuid(first),
            last: MessageId::from_uuid(last),
            after: MessageId::from_uuid(after),
            next: upcoming,
        };
        feeds.insert((CampaignId::from_uuid(campaign), place), feed);
    }
    Ok(feeds)
}

/// What is known of an item, whose contact it is, and when that came by an advertisement.
fn item_facts(row: &PgRow) -> Fallible<(ItemFacts, Option<ContactId>, Option<DateTime<Utc>>)> {
    let mut touches = Vec::new();
    let ats = get::<Option<Vec<DateTime<Utc>>>>(row, ITEM + 6)?.unwrap_or_default();
    let categories = get::<Option<Vec<String>>>(row, ITEM + 7)?.unwrap_or_default();
    let lanes = get::<Option<Vec<i64>>>(row, ITEM + 8)?.unwrap_or_default();
    for ((at, category), lane) in ats.into_iter().zip(categories).zip(lanes) {
        let category = Category::from_name(&category).ok_or_else(|| undecodable(ITEM + 7))?;
        let lane = wa_core::model::Lane::ALL.iter().copied().find(|known| lane_rank(*known) == lane);
        touches.push(Touch { at, category, lane: lane.ok_or_else(|| undecodable(ITEM + 8))? });
    }
    let facts = ItemFacts {
        consent: opt_named(row, ITEM + 1, Consent::from_name)?,
        suppressed: get(row, SESSION + SESSION_WIDTH)?,
        own_zone: get(row, ITEM + 2)?,
        wrote_at: opt_at(row, ITEM + 3)?,
        free_until: None,
        touches,
        has_slot: get(row, ITEM + 9)?,
    };
    Ok((facts, opt_id(row, ITEM)?, opt_at(row, ITEM + 4)?))
}

/// Array columns, one after the other; none at all is an empty one.
struct Lists<'a> {
    row: &'a PgRow,
    column: usize,
}

impl<'a> Lists<'a> {
    fn next<T>(&mut self) -> Fallible<Vec<T>>
    where
        Vec<T>: sqlx::Decode<'a, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        let list: Option<Vec<T>> = get(self.row, self.column)?;
        self.column += 1;
        Ok(list.unwrap_or_default())
    }
}

fn word<T: FromStr>(text: &str) -> Fallible<T> {
    text.parse().map_err(|_| Fault::Broken("a name among the facts of a batch is none"))
}

/// The count that stands beside a name, or 0.
fn counted<T: PartialEq>(names: &[T], counts: &[i64], name: &T) -> u64 {
    let found = names.iter().zip(counts).find(|(known, _)| *known == name);
    found.map_or(0, |(_, count)| u64::try_from(*count).unwrap_or(0))
}
