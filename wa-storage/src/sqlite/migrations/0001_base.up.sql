-- Ids are 16-byte blobs, instants are integer microseconds since 1970, money is integer micros.
-- Wide rows are written once; what changes often is narrow and apart.

CREATE TABLE identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    instance BLOB NOT NULL,
    incarnation BLOB NOT NULL,
    tag_key BLOB NOT NULL
) STRICT;

-- Since when and why nothing may begin; no row while the store sends.
CREATE TABLE reconcile_need (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    since INTEGER NOT NULL,
    cause TEXT NOT NULL
) STRICT;

-- `held_since`: since when an imported tenant waits for somebody's word.
CREATE TABLE tenant (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    settings TEXT,
    entitlement TEXT,
    book INTEGER,
    created_at INTEGER NOT NULL,
    held_since INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX tenant_held ON tenant (id) WHERE held_since IS NOT NULL;

-- Tenants whose import is not finished, and how far each is. `mark` tells the records that were taken in from
-- others.
CREATE TABLE arrival (
    tenant BLOB PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    taken_at INTEGER NOT NULL,
    incarnation BLOB,
    records INTEGER NOT NULL DEFAULT 0,
    mark BLOB NOT NULL,
    discarding INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- What nobody may find before its import is finished: the tenant itself (no session) and its sessions.
CREATE TABLE arrival_record (
    tenant BLOB NOT NULL,
    place INTEGER NOT NULL,
    session BLOB,
    record TEXT NOT NULL,
    PRIMARY KEY (tenant, place)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX arrival_session ON arrival_record (tenant, session) WHERE session IS NOT NULL;

-- Every price book that a tenant ever had: an attempt is settled by the one of its begin.
CREATE TABLE price_book (
    id INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE session (
    id BLOB PRIMARY KEY,
    tenant BLOB NOT NULL,
    transport TEXT NOT NULL,
    number TEXT NOT NULL,
    portfolio TEXT NOT NULL,
    account TEXT,
    phone INTEGER,
    state TEXT NOT NULL,
    throughput INTEGER NOT NULL,
    tier INTEGER,
    quality TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    checked_at INTEGER,
    settings TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX session_by_number ON session (transport, number, tenant);
CREATE INDEX session_by_tenant ON session (tenant, id);
CREATE INDEX session_by_account ON session (transport, account, tenant, id) WHERE account IS NOT NULL;

-- The latest instant of news on each topic, so that older news changes nothing.
CREATE TABLE session_news (
    session BLOB NOT NULL,
    topic TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (session, topic)
) STRICT, WITHOUT ROWID;

-- Templates as their provider last spoke of them.
CREATE TABLE template (
    tenant BLOB NOT NULL,
    transport TEXT NOT NULL,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    language TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (tenant, transport, account, name, language)
) STRICT, WITHOUT ROWID;

-- `guard` is the token of the file-lock holder under which the lease was last held.
CREATE TABLE session_lease (
    session BLOB PRIMARY KEY,
    created_at INTEGER NOT NULL,
    worker BLOB,
    epoch INTEGER NOT NULL DEFAULT 0,
    until INTEGER,
    guard BLOB,
    dispatch_state TEXT,
    unsettled_deaths INTEGER NOT NULL DEFAULT 0,
    judged_epoch INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX session_lease_by_age ON session_lease (created_at, session);

-- Workers that have made themselves known, whether they hold sessions or not.
CREATE TABLE worker (
    id BLOB PRIMARY KEY,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    most INTEGER NOT NULL,
    guard BLOB
) STRICT, WITHOUT ROWID;

-- A breaker of a whole session has an empty template.
CREATE TABLE breaker (
    tenant BLOB NOT NULL,
    session BLOB NOT NULL,
    template TEXT NOT NULL,
    language TEXT NOT NULL,
    reason TEXT NOT NULL,
    code INTEGER NOT NULL,
    until INTEGER,
    since INTEGER NOT NULL,
    PRIMARY KEY (tenant, session, template, language)
) STRICT, WITHOUT ROWID;

CREATE TABLE contact (
    tenant BLOB NOT NULL,
    id BLOB NOT NULL,
    phone INTEGER,
    bsuid TEXT,
    attributes TEXT NOT NULL,
    consent TEXT NOT NULL,
    consent_at INTEGER,
    consent_source TEXT,
    created_at INTEGER NOT NULL,
    profile_name TEXT,
    username TEXT,
    consent_record TEXT,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX contact_by_phone ON contact (tenant, phone) WHERE phone IS NOT NULL;
CREATE UNIQUE INDEX contact_by_bsuid ON contact (tenant, bsuid) WHERE bsuid IS NOT NULL;

-- Ids of contacts that were merged into others; never of an alias.
CREATE TABLE contact_alias (
    tenant BLOB NOT NULL,
    alias BLOB NOT NULL,
    contact BLOB NOT NULL,
    PRIMARY KEY (tenant, alias)
) STRICT, WITHOUT ROWID;
CREATE INDEX contact_alias_by_contact ON contact_alias (tenant, contact);

-- Addresses that contacts had, as attempts count them, and until when.
CREATE TABLE former_address (
    tenant BLOB NOT NULL,
    recipient INTEGER NOT NULL,
    contact BLOB NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (tenant, recipient, contact, until)
) STRICT, WITHOUT ROWID;
CREATE INDEX former_address_by_contact ON former_address (tenant, contact);

CREATE TABLE list (
    id INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL,
    name TEXT NOT NULL,
    last_seq INTEGER NOT NULL DEFAULT 0,
    UNIQUE (tenant, name)
) STRICT;

-- `seq` is the order in which members came; a launch takes those up to a bound.
CREATE TABLE list_member (
    list INTEGER NOT NULL,
    contact BLOB NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (list, contact)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX list_member_by_seq ON list_member (list, seq);

CREATE TABLE import (
    place INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL,
    id BLOB NOT NULL,
    list INTEGER NOT NULL,
    source BLOB NOT NULL,
    records INTEGER NOT NULL DEFAULT 0,
    added INTEGER NOT NULL DEFAULT 0,
    duplicates INTEGER NOT NULL DEFAULT 0,
    invalid INTEGER NOT NULL DEFAULT 0,
    finished INTEGER NOT NULL DEFAULT 0,
    UNIQUE (tenant, id),
    UNIQUE (list, source)
) STRICT;

-- The phones that an unfinished import has brought, so that a duplicate is found in a later chunk.
CREATE TABLE import_phone (
    import INTEGER NOT NULL,
    phone INTEGER NOT NULL,
    PRIMARY KEY (import, phone)
) STRICT, WITHOUT ROWID;

CREATE TABLE import_line (
    import INTEGER NOT NULL,
    line INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    problem TEXT,
    PRIMARY KEY (import, line)
) STRICT, WITHOUT ROWID;

-- `bound` is the last member that belongs to the launch, `cursor` the last one frozen.
-- `minted_ms` is the millisecond in the ids of its messages, unlike that of any other campaign of the tenant.
CREATE TABLE campaign (
    tenant BLOB NOT NULL,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    content TEXT NOT NULL,
    list_name TEXT NOT NULL,
    sessions TEXT NOT NULL,
    lane TEXT NOT NULL,
    valid_until INTEGER,
    start_at INTEGER,
    rate INTEGER,
    definition BLOB NOT NULL,
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    launched_at INTEGER,
    completed_at INTEGER,
    minted_ms INTEGER,
    list INTEGER,
    bound INTEGER NOT NULL DEFAULT 0,
    cursor INTEGER NOT NULL DEFAULT 0,
    audience INTEGER NOT NULL DEFAULT 0,
    frozen INTEGER NOT NULL DEFAULT 0,
    fallback TEXT,
    budget INTEGER,
    budget_currency TEXT,
    paused_for TEXT,
    in_doubt TEXT,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX campaign_by_name ON campaign (tenant, name);
CREATE UNIQUE INDEX campaign_by_mint ON campaign (tenant, minted_ms) WHERE minted_ms IS NOT NULL;
-- Campaigns that a restored store holds.
CREATE INDEX campaign_unreconciled ON campaign (tenant, id) WHERE state = 'needs_reconcile';
CREATE INDEX campaign_alive ON campaign (state, start_at) WHERE state IN ('scheduled', 'running');

-- What a run of a schedule has still to freeze is looked for at every step of the scheduler.
CREATE INDEX campaign_unfrozen ON campaign (tenant, id) WHERE state IN ('draft', 'launching');

CREATE TABLE schedule (
    tenant BLOB NOT NULL,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    state TEXT NOT NULL,
    next_number INTEGER,
    next_civil TEXT,
    next_at INTEGER,
    runs INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX schedule_by_name ON schedule (tenant, name);
CREATE INDEX schedule_by_next ON schedule (next_at, tenant, id) WHERE next_at IS NOT NULL;

CREATE TABLE schedule_run (
    tenant BLOB NOT NULL,
    schedule BLOB NOT NULL,
    number INTEGER NOT NULL,
    civil TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    campaign BLOB NOT NULL,
    made_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, schedule, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX schedule_run_by_campaign ON schedule_run (tenant, campaign);

CREATE TABLE campaign_count (
    tenant BLOB NOT NULL,
    campaign BLOB NOT NULL,
    counter TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (tenant, campaign, counter)
) STRICT, WITHOUT ROWID;
CREATE INDEX campaign_open ON campaign_count (tenant, campaign, n)
    WHERE counter IN ('pending', 'attempting', 'resending') AND n > 0;

-- Changes of counts that are not folded into `campaign_count` yet. An empty campaign is the tenant's total.
CREATE TABLE delta (
    seq INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL,
    campaign BLOB NOT NULL,
    counter TEXT NOT NULL,
    n INTEGER NOT NULL
) STRICT;
CREATE INDEX delta_by_campaign ON delta (tenant, campaign);

CREATE TABLE message (
    tenant BLOB NOT NULL,
    id BLOB NOT NULL,
    campaign BLOB,
    contact BLOB,
    phone INTEGER,
    bsuid TEXT,
    params TEXT,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

-- What only a message without campaign has.
CREATE TABLE single (
    tenant BLOB NOT NULL,
    message BLOB NOT NULL,
    session BLOB NOT NULL,
    lane TEXT NOT NULL,
    content TEXT NOT NULL,
    reply_to TEXT,
    valid_until INTEGER,
    key TEXT,
    fingerprint BLOB NOT NULL,
    fallback TEXT,
    in_doubt TEXT,
    PRIMARY KEY (tenant, message)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX single_by_key ON single (tenant, key) WHERE key IS NOT NULL;

-- One range of message ids per campaign and place: those after `after_id` wait.
CREATE TABLE feed (
    tenant BLOB NOT NULL,
    campaign BLOB NOT NULL,
    place INTEGER NOT NULL,
    session BLOB NOT NULL,
    first_id BLOB NOT NULL,
    last_id BLOB NOT NULL,
    after_id BLOB NOT NULL,
    remaining INTEGER NOT NULL DEFAULT 0,
    cancelled_at INTEGER,
    PRIMARY KEY (tenant, campaign, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX feed_waiting ON feed (session, tenant, campaign, place) WHERE remaining > 0;

-- Singles, retries and deferrals. `n` is the number of the attempt that comes next.
CREATE TABLE due (
    tenant BLOB NOT NULL,
    message BLOB NOT NULL,
    session BLOB NOT NULL,
    lane INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    n INTEGER NOT NULL,
    campaign BLOB,
    why TEXT,
    PRIMARY KEY (tenant, message)
) STRICT, WITHOUT ROWID;
-- Holds all that tells whether a row is wanted: those of paused campaigns are passed over in the index.
CREATE INDEX due_in_order ON due (session, lane, due_at, message, campaign);
CREATE INDEX due_by_campaign ON due (tenant, campaign) WHERE campaign IS NOT NULL;

-- `price` is the estimate, `reserve` the dearest that it can become, both in `currency`; `month` is that
-- of the account's own clock.
CREATE TABLE attempt (
    tenant BLOB NOT NULL,
    message BLOB NOT NULL,
    n INTEGER NOT NULL,
    session BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    incarnation BLOB,
    batch BLOB NOT NULL,
    begun_at INTEGER NOT NULL,
    end_by INTEGER NOT NULL,
    recipient INTEGER NOT NULL,
    tier_slot INTEGER NOT NULL,
    category TEXT NOT NULL,
    price INTEGER,
    reserve INTEGER,
    currency TEXT,
    -- 1 when the fallback went.
    fallback INTEGER NOT NULL DEFAULT 0,
    -- The day of the session's warm-up that it counts in.
    warm_up_day INTEGER,
    -- 1 when it was free-form content that went only because its window was open.
    in_window INTEGER NOT NULL DEFAULT 0,
    price_reason TEXT NOT NULL,
    counts_as_service INTEGER NOT NULL,
    month TEXT NOT NULL,
    book INTEGER,
    PRIMARY KEY (tenant, message, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_by_recipient ON attempt (tenant, recipient, begun_at);
CREATE INDEX attempt_by_session ON attempt (session, begun_at, recipient);
CREATE INDEX attempt_by_pair ON attempt (session, recipient, begun_at, message);
CREATE INDEX attempt_by_slot ON attempt (recipient, begun_at) WHERE tier_slot = 1;

-- Attempts without any outcome yet.
CREATE TABLE open_attempt (
    session BLOB NOT NULL,
    end_by INTEGER NOT NULL,
    tenant BLOB NOT NULL,
    message BLOB NOT NULL,
    n INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    PRIMARY KEY (session, end_by, tenant, message, n)
) STRICT, WITHOUT ROWID;

-- What is known of an attempt: the earliest instant of each fact.
CREATE TABLE result (
    tenant BLOB NOT NULL,
    message BLOB NOT NULL,
    n INTEGER NOT NULL,
    facts INTEGER NOT NULL,
    not_sent_at INTEGER,
    rejected_at INTEGER,
    accepted_at INTEGER,
    in_doubt_at INTEGER,
    sent_at INTEGER,
    delivered_at INTEGER,
    read_at INTEGER,
    played_at INTEGER,
    failed_at INTEGER,
    released_at INTEGER,
    code INTEGER,
    class TEXT,
    title TEXT,
    details TEXT,
    provider_id TEXT,
    provider_hash INTEGER,
    charge TEXT,
    PRIMARY KEY (tenant, message, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX result_by_provider ON result (provider_hash) WHERE provider_hash IS NOT NULL;

-- Further provider ids of an attempt, which only a request that was repeated on its way has.
CREATE TABLE other_name (
    provider_hash INTEGER NOT NULL,
    provider_id TEXT NOT NULL,
    tenant BLOB NOT NULL,
    message BLOB NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (provider_hash, provider_id, tenant, message, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE closed (
    tenant BLOB NOT NULL,
    message BLOB NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant, message)
) STRICT, WITHOUT ROWID;

-- Messages whose last word is in doubt: when each is looked at, and since when nothing more is expected of it.
CREATE TABLE doubt (
    tenant BLOB NOT NULL,
    message BLOB NOT NULL,
    session BLOB NOT NULL,
    look_at INTEGER,
    given_up_at INTEGER,
    PRIMARY KEY (tenant, message)
) STRICT, WITHOUT ROWID;
CREATE INDEX doubt_to_look_at ON doubt (session, look_at, tenant, message) WHERE look_at IS NOT NULL;

-- Messages that failed for good. An empty campaign is none.
CREATE TABLE failure (
    tenant BLOB NOT NULL,
    message BLOB NOT NULL,
    campaign BLOB NOT NULL,
    session BLOB NOT NULL,
    code INTEGER,
    class TEXT,
    critical INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant, message)
) STRICT, WITHOUT ROWID;
CREATE INDEX failure_by_campaign ON failure (tenant, campaign, message);
CREATE INDEX failure_by_code ON failure (tenant, code, message);
CREATE INDEX failure_critical ON failure (tenant, message) WHERE critical = 1;

-- How many attempts a message had when it was last put back by hand.
CREATE TABLE redriven (
    tenant BLOB NOT NULL,
    message BLOB NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (tenant, message)
) STRICT, WITHOUT ROWID;

-- What is remembered of campaigns that had failures.
CREATE TABLE campaign_meter (
    tenant BLOB NOT NULL,
    campaign BLOB NOT NULL,
    meter TEXT NOT NULL,
    PRIMARY KEY (tenant, campaign)
) STRICT, WITHOUT ROWID;

-- How far a session's attempts were listened to, and what was heard.
CREATE TABLE listened (
    session BLOB PRIMARY KEY,
    upto INTEGER NOT NULL,
    silent INTEGER NOT NULL,
    deaf INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Attempts that were taken and of which nothing was heard in time.
CREATE TABLE silent (
    tenant BLOB NOT NULL,
    message BLOB NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (tenant, message, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE batch (
    id BLOB PRIMARY KEY,
    session BLOB,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX batch_by_age ON batch (at);

-- `uses` counts the attempts that rely on a slot; the slot goes back with the last of them.
CREATE TABLE tier_slot (
    portfolio TEXT NOT NULL,
    recipient INTEGER NOT NULL,
    taken_at INTEGER NOT NULL,
    until INTEGER NOT NULL,
    uses INTEGER NOT NULL,
    PRIMARY KEY (portfolio, recipient)
) STRICT, WITHOUT ROWID;
CREATE INDEX tier_slot_by_end ON tier_slot (portfolio, until);

CREATE TABLE tier_usage (
    portfolio TEXT PRIMARY KEY,
    used INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE quota_usage (
    tenant BLOB NOT NULL,
    period TEXT NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (tenant, period)
) STRICT, WITHOUT ROWID;

-- Templates that went to a recipient: a row for each attempt that was not given back.
CREATE TABLE touch (
    tenant BLOB NOT NULL,
    recipient INTEGER NOT NULL,
    at INTEGER NOT NULL,
    message BLOB NOT NULL,
    n INTEGER NOT NULL,
    category TEXT NOT NULL,
    lane INTEGER NOT NULL,
    PRIMARY KEY (tenant, recipient, at, message, n)
) STRICT, WITHOUT ROWID;

-- What a new number sent on a day of its warm-up; days are counted from the year 1.
CREATE TABLE warm_up_usage (
    session BLOB NOT NULL,
    day INTEGER NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (session, day)
) STRICT, WITHOUT ROWID;

-- Addresses that are never written to: a phone as `+` and its digits, or a business-scoped user id.
CREATE TABLE suppressed (
    tenant BLOB NOT NULL,
    address TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant, address)
) STRICT, WITHOUT ROWID;

-- What is spent or kept of a campaign's, a month's or a tenant's money (`of` is its id, its name, or
-- empty), whether or not there is a limit.
CREATE TABLE budget_use (
    tenant BLOB NOT NULL,
    of BLOB NOT NULL,
    currency TEXT NOT NULL,
    committed INTEGER NOT NULL,
    open INTEGER NOT NULL,
    last_begun_at INTEGER,
    PRIMARY KEY (tenant, of, currency)
) STRICT, WITHOUT ROWID;

-- Service messages of a number and month, of which some are free.
CREATE TABLE service_usage (
    session BLOB NOT NULL,
    month TEXT NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (session, month)
) STRICT, WITHOUT ROWID;

-- What became of the attempts that were begun in a quarter of an hour, by session.
CREATE TABLE rollup (
    tenant BLOB NOT NULL,
    slot INTEGER NOT NULL,
    session BLOB NOT NULL,
    counter TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (tenant, slot, session, counter)
) STRICT, WITHOUT ROWID;

-- Changes that are not folded into `rollup` yet.
CREATE TABLE rollup_delta (
    seq INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL,
    slot INTEGER NOT NULL,
    session BLOB NOT NULL,
    counter TEXT NOT NULL,
    n INTEGER NOT NULL
) STRICT;
CREATE INDEX rollup_delta_by_slot ON rollup_delta (tenant, slot);

CREATE TABLE raw (
    id BLOB NOT NULL PRIMARY KEY,
    transport TEXT NOT NULL,
    digest BLOB NOT NULL,
    body BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    projected_at INTEGER
) STRICT;
CREATE UNIQUE INDEX raw_by_digest ON raw (transport, digest);
CREATE INDEX raw_waiting ON raw (id) WHERE projected_at IS NULL;
CREATE INDEX raw_done ON raw (received_at) WHERE projected_at IS NOT NULL;

-- Statuses whose provider id no attempt has yet.
CREATE TABLE waiting_status (
    provider_hash INTEGER NOT NULL,
    provider_id TEXT NOT NULL,
    transport TEXT NOT NULL,
    number TEXT NOT NULL,
    fact INTEGER NOT NULL,
    at INTEGER NOT NULL,
    code INTEGER NOT NULL,
    class TEXT,
    title TEXT NOT NULL,
    details TEXT NOT NULL,
    charge TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (provider_hash, provider_id, transport, number, fact, at, code, title, details, charge)
) STRICT, WITHOUT ROWID;
CREATE INDEX waiting_status_by_age ON waiting_status (received_at);

-- What users wrote, and what a person typed on the business's own phone (`echo`). `opens` and `asks` are
-- the rules' words on windows and conversations; `target` is the message that an edit, a deletion or a
-- reaction hangs on.
CREATE TABLE inbound (
    tenant BLOB NOT NULL,
    position INTEGER NOT NULL,
    session BLOB NOT NULL,
    contact BLOB NOT NULL,
    echo INTEGER NOT NULL,
    phone INTEGER,
    bsuid TEXT,
    provider_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    opens INTEGER NOT NULL,
    asks INTEGER NOT NULL,
    body TEXT NOT NULL,
    context TEXT,
    referral TEXT,
    chat TEXT,
    target TEXT,
    PRIMARY KEY (tenant, position)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX inbound_by_provider ON inbound (session, provider_id);
CREATE INDEX inbound_by_contact ON inbound (session, contact, at, position);
CREATE INDEX inbound_by_target ON inbound (session, target, position) WHERE target IS NOT NULL;

CREATE TABLE window (
    tenant BLOB NOT NULL,
    session BLOB NOT NULL,
    contact BLOB NOT NULL,
    last_user_message_at INTEGER NOT NULL,
    opened_at INTEGER NOT NULL,
    user_messages INTEGER NOT NULL,
    referral_at INTEGER,
    PRIMARY KEY (tenant, session, contact)
) STRICT, WITHOUT ROWID;
CREATE INDEX window_by_end ON window (tenant, last_user_message_at, session, contact);
CREATE INDEX window_of_session ON window (session, last_user_message_at, contact);

-- The ends of free entry points that webhooks named.
CREATE TABLE entry_point (
    tenant BLOB NOT NULL,
    session BLOB NOT NULL,
    contact BLOB NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (tenant, session, contact)
) STRICT, WITHOUT ROWID;

CREATE TABLE conversation (
    tenant BLOB NOT NULL,
    session BLOB NOT NULL,
    contact BLOB NOT NULL,
    state TEXT NOT NULL,
    assigned TEXT,
    unread INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    last_message_at INTEGER NOT NULL,
    first_inbound_at INTEGER,
    closed_at INTEGER,
    PRIMARY KEY (tenant, session, contact)
) STRICT, WITHOUT ROWID;
CREATE INDEX conversation_latest ON conversation (tenant, last_message_at, session, contact);
CREATE INDEX conversation_by_state ON conversation (tenant, state, last_message_at, session, contact);
CREATE INDEX conversation_assigned ON conversation (tenant, assigned, last_message_at, session, contact)
    WHERE assigned IS NOT NULL;

-- `changes` holds the message states of one batch, 17 bytes each; every other event is JSON in `body`.
CREATE TABLE journal (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL,
    tenant BLOB NOT NULL,
    at INTEGER NOT NULL,
    body TEXT,
    changes BLOB
) STRICT;
CREATE INDEX journal_by_age ON journal (at);

CREATE TABLE reader (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE notice (
    tenant BLOB NOT NULL,
    id BLOB NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
