-- Everything lies in the schema that is first in the search path. Money is integer micros.
-- Wide rows are written once; what changes often is narrow and apart.

CREATE TABLE identity (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    instance UUID NOT NULL,
    incarnation UUID NOT NULL,
    tag_key BYTEA NOT NULL
);

-- Where these tables lie, as the server tells them apart: a copy, a restored dump or a promoted replica differs.
CREATE TABLE origin (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    system TEXT COLLATE "C",
    timeline TEXT COLLATE "C",
    database TEXT COLLATE "C"
);

-- Since when and why nothing may begin; no row while the store sends.
CREATE TABLE reconcile_need (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    since TIMESTAMPTZ NOT NULL,
    cause TEXT COLLATE "C" NOT NULL
);

-- `held_since`: since when an imported tenant waits for somebody's word.
CREATE TABLE tenant (
    id UUID PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    settings TEXT COLLATE "C",
    entitlement TEXT COLLATE "C",
    book BIGINT,
    created_at TIMESTAMPTZ NOT NULL,
    held_since TIMESTAMPTZ
);
CREATE INDEX tenant_held ON tenant (id) WHERE held_since IS NOT NULL;

-- Tenants whose import is not finished, and how far each is. `mark` tells the records that were taken in from
-- others.
CREATE TABLE arrival (
    tenant UUID PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    taken_at TIMESTAMPTZ NOT NULL,
    incarnation UUID,
    records BIGINT NOT NULL DEFAULT 0,
    mark BYTEA NOT NULL,
    discarding BOOLEAN NOT NULL DEFAULT false
);

-- What nobody may find before its import is finished: the tenant itself (no session) and its sessions.
CREATE TABLE arrival_record (
    tenant UUID NOT NULL,
    place BIGINT NOT NULL,
    session UUID,
    record TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, place)
);
CREATE UNIQUE INDEX arrival_session ON arrival_record (tenant, session) WHERE session IS NOT NULL;

-- Every price book that a tenant ever had: an attempt is settled by the one of its begin.
CREATE TABLE price_book (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant UUID NOT NULL,
    body TEXT COLLATE "C" NOT NULL
);

CREATE TABLE session (
    id UUID PRIMARY KEY,
    tenant UUID NOT NULL,
    transport TEXT COLLATE "C" NOT NULL,
    number TEXT COLLATE "C" NOT NULL,
    portfolio TEXT COLLATE "C" NOT NULL,
    account TEXT COLLATE "C",
    phone BIGINT,
    state TEXT COLLATE "C" NOT NULL,
    throughput BIGINT NOT NULL,
    tier BIGINT,
    quality TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    checked_at TIMESTAMPTZ,
    settings TEXT COLLATE "C"
);
CREATE UNIQUE INDEX session_by_number ON session (transport, number, tenant);
CREATE INDEX session_by_tenant ON session (tenant, id);
CREATE INDEX session_by_account ON session (transport, account, tenant, id) WHERE account IS NOT NULL;

-- The latest instant of news on each topic, so that older news changes nothing.
CREATE TABLE session_news (
    tenant UUID NOT NULL,
    session UUID NOT NULL,
    topic TEXT COLLATE "C" NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (session, topic)
);

-- Templates as their provider last spoke of them.
CREATE TABLE template (
    tenant UUID NOT NULL,
    transport TEXT COLLATE "C" NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    language TEXT COLLATE "C" NOT NULL,
    record TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, transport, account, name, language)
);

CREATE TABLE session_lease (
    session UUID PRIMARY KEY,
    tenant UUID NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    worker UUID,
    epoch BIGINT NOT NULL DEFAULT 0,
    until TIMESTAMPTZ,
    dispatch_state TEXT COLLATE "C",
    unsettled_deaths BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX session_lease_by_age ON session_lease (created_at, session);

-- Workers that have made themselves known, whether they hold sessions or not.
CREATE TABLE worker (
    id UUID PRIMARY KEY,
    since TIMESTAMPTZ NOT NULL,
    until TIMESTAMPTZ NOT NULL,
    most BIGINT NOT NULL
);

-- A breaker of a whole session has an empty template.
CREATE TABLE breaker (
    tenant UUID NOT NULL,
    session UUID NOT NULL,
    template TEXT COLLATE "C" NOT NULL,
    language TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    code BIGINT NOT NULL,
    until TIMESTAMPTZ,
    since TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (tenant, session, template, language)
);

CREATE TABLE contact (
    tenant UUID NOT NULL,
    id UUID NOT NULL,
    phone BIGINT,
    bsuid TEXT COLLATE "C",
    attributes TEXT COLLATE "C" NOT NULL,
    consent TEXT COLLATE "C" NOT NULL,
    consent_at TIMESTAMPTZ,
    consent_source TEXT COLLATE "C",
    created_at TIMESTAMPTZ NOT NULL,
    profile_name TEXT COLLATE "C",
    username TEXT COLLATE "C",
    consent_record TEXT COLLATE "C",
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX contact_by_phone ON contact (tenant, phone) WHERE phone IS NOT NULL;
CREATE UNIQUE INDEX contact_by_bsuid ON contact (tenant, bsuid) WHERE bsuid IS NOT NULL;

-- Ids of contacts that were merged into others; never of an alias.
CREATE TABLE contact_alias (
    tenant UUID NOT NULL,
    alias UUID NOT NULL,
    contact UUID NOT NULL,
    PRIMARY KEY (tenant, alias)
);
CREATE INDEX contact_alias_by_contact ON contact_alias (tenant, contact);

-- Addresses that contacts had, as attempts count them, and until when.
CREATE TABLE former_address (
    tenant UUID NOT NULL,
    recipient BIGINT NOT NULL,
    contact UUID NOT NULL,
    until TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (tenant, recipient, contact, until)
);
CREATE INDEX former_address_by_contact ON former_address (tenant, contact);

CREATE TABLE list (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant UUID NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    last_seq BIGINT NOT NULL DEFAULT 0,
    UNIQUE (tenant, name)
);

-- `seq` is the order in which members came; a launch takes those up to a bound.
CREATE TABLE list_member (
    tenant UUID NOT NULL,
    list BIGINT NOT NULL,
    contact UUID NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (list, contact)
);
CREATE UNIQUE INDEX list_member_by_seq ON list_member (list, seq);

CREATE TABLE import (
    place BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant UUID NOT NULL,
    id UUID NOT NULL,
    list BIGINT NOT NULL,
    source BYTEA NOT NULL,
    records BIGINT NOT NULL DEFAULT 0,
    added BIGINT NOT NULL DEFAULT 0,
    duplicates BIGINT NOT NULL DEFAULT 0,
    invalid BIGINT NOT NULL DEFAULT 0,
    finished BOOLEAN NOT NULL DEFAULT false,
    UNIQUE (tenant, id),
    UNIQUE (list, source)
);

-- The phones that an unfinished import has brought, so that a duplicate is found in a later chunk.
CREATE TABLE import_phone (
    tenant UUID NOT NULL,
    import BIGINT NOT NULL,
    phone BIGINT NOT NULL,
    PRIMARY KEY (import, phone)
);

CREATE TABLE import_line (
    tenant UUID NOT NULL,
    import BIGINT NOT NULL,
    line BIGINT NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    problem TEXT COLLATE "C",
    PRIMARY KEY (import, line)
);

-- `bound` is the last member that belongs to the launch, `cursor` the last one frozen.
-- `minted_ms` is the millisecond in the ids of its messages, unlike that of any other campaign of the tenant.
CREATE TABLE campaign (
    tenant UUID NOT NULL,
    id UUID NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    content TEXT COLLATE "C" NOT NULL,
    list_name TEXT COLLATE "C" NOT NULL,
    sessions TEXT COLLATE "C" NOT NULL,
    lane TEXT COLLATE "C" NOT NULL,
    valid_until TIMESTAMPTZ,
    start_at TIMESTAMPTZ,
    rate BIGINT,
    definition BYTEA NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    launched_at TIMESTAMPTZ,
    completed_at TIMESTAMPTZ,
    minted_ms BIGINT,
    list BIGINT,
    bound BIGINT NOT NULL DEFAULT 0,
    cursor BIGINT NOT NULL DEFAULT 0,
    audience BIGINT NOT NULL DEFAULT 0,
    frozen BOOLEAN NOT NULL DEFAULT false,
    fallback TEXT COLLATE "C",
    budget BIGINT,
    budget_currency TEXT COLLATE "C",
    paused_for TEXT COLLATE "C",
    in_doubt TEXT COLLATE "C",
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX campaign_by_name ON campaign (tenant, name);
CREATE UNIQUE INDEX campaign_by_mint ON campaign (tenant, minted_ms) WHERE minted_ms IS NOT NULL;
-- Campaigns that a restored store holds.
CREATE INDEX campaign_unreconciled ON campaign (tenant, id) WHERE state = 'needs_reconcile';
CREATE INDEX campaign_alive ON campaign (state, start_at) WHERE state IN ('scheduled', 'running');

-- What a run of a schedule has still to freeze is looked for at every step of the scheduler.
CREATE INDEX campaign_unfrozen ON campaign (tenant, id) WHERE state IN ('draft', 'launching');

CREATE TABLE schedule (
    tenant UUID NOT NULL,
    id UUID NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    spec TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    next_number BIGINT,
    next_civil TEXT COLLATE "C",
    next_at TIMESTAMPTZ,
    runs BIGINT NOT NULL DEFAULT 0,
    skipped BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX schedule_by_name ON schedule (tenant, name);
CREATE INDEX schedule_by_next ON schedule (next_at, tenant, id) WHERE next_at IS NOT NULL;

CREATE TABLE schedule_run (
    tenant UUID NOT NULL,
    schedule UUID NOT NULL,
    number BIGINT NOT NULL,
    civil TEXT COLLATE "C" NOT NULL,
    due_at TIMESTAMPTZ NOT NULL,
    campaign UUID NOT NULL,
    made_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (tenant, schedule, number)
);
CREATE INDEX schedule_run_by_campaign ON schedule_run (tenant, campaign);

CREATE TABLE campaign_count (
    tenant UUID NOT NULL,
    campaign UUID NOT NULL,
    counter TEXT COLLATE "C" NOT NULL,
    n BIGINT NOT NULL,
    PRIMARY KEY (tenant, campaign, counter)
);
CREATE INDEX campaign_open ON campaign_count (tenant, campaign, n)
    WHERE counter IN ('pending', 'attempting', 'resending') AND n > 0;

-- Changes of counts that are not folded into `campaign_count` yet. The nil campaign is the tenant's total.
CREATE TABLE delta (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant UUID NOT NULL,
    campaign UUID NOT NULL,
    counter TEXT COLLATE "C" NOT NULL,
    n BIGINT NOT NULL
);
CREATE INDEX delta_by_campaign ON delta (tenant, campaign);

CREATE TABLE message (
    tenant UUID NOT NULL,
    id UUID NOT NULL,
    campaign UUID,
    contact UUID,
    phone BIGINT,
    bsuid TEXT COLLATE "C",
    params TEXT COLLATE "C",
    PRIMARY KEY (tenant, id)
);

-- What only a message without campaign has.
CREATE TABLE single (
    tenant UUID NOT NULL,
    message UUID NOT NULL,
    session UUID NOT NULL,
    lane TEXT COLLATE "C" NOT NULL,
    content TEXT COLLATE "C" NOT NULL,
    reply_to TEXT COLLATE "C",
    valid_until TIMESTAMPTZ,
    key TEXT COLLATE "C",
    fingerprint BYTEA NOT NULL,
    fallback TEXT COLLATE "C",
    in_doubt TEXT COLLATE "C",
    PRIMARY KEY (tenant, message)
);
CREATE UNIQUE INDEX single_by_key ON single (tenant, key) WHERE key IS NOT NULL;

-- One range of message ids per campaign and place: those after `after_id` wait.
CREATE TABLE feed (
    tenant UUID NOT NULL,
    campaign UUID NOT NULL,
    place BIGINT NOT NULL,
    session UUID NOT NULL,
    first_id UUID NOT NULL,
    last_id UUID NOT NULL,
    after_id UUID NOT NULL,
    remaining BIGINT NOT NULL DEFAULT 0,
    cancelled_at TIMESTAMPTZ,
    PRIMARY KEY (tenant, campaign, place)
);
CREATE INDEX feed_waiting ON feed (session, tenant, campaign, place) WHERE remaining > 0;

-- Singles, retries and deferrals. `n` is the number of the attempt that comes next.
CREATE TABLE due (
    tenant UUID NOT NULL,
    message UUID NOT NULL,
    session UUID NOT NULL,
    lane BIGINT NOT NULL,
    due_at TIMESTAMPTZ NOT NULL,
    n BIGINT NOT NULL,
    campaign UUID,
    why TEXT COLLATE "C",
    PRIMARY KEY (tenant, message)
);
-- Holds all that tells whether a row is wanted: those of paused campaigns are passed over in the index.
CREATE INDEX due_in_order ON due (session, lane, due_at, message, campaign);
CREATE INDEX due_by_campaign ON due (tenant, campaign) WHERE campaign IS NOT NULL;

-- `price` is the estimate, `reserve` the dearest that it can become, both in `currency`; `month` is that
-- of the account's own clock.
CREATE TABLE attempt (
    tenant UUID NOT NULL,
    message UUID NOT NULL,
    n BIGINT NOT NULL,
    session UUID NOT NULL,
    epoch BIGINT NOT NULL,
    incarnation UUID,
    batch UUID NOT NULL,
    begun_at TIMESTAMPTZ NOT NULL,
    end_by TIMESTAMPTZ NOT NULL,
    recipient BIGINT NOT NULL,
    tier_slot BOOLEAN NOT NULL,
    category TEXT COLLATE "C" NOT NULL,
    price BIGINT,
    reserve BIGINT,
    currency TEXT COLLATE "C",
    -- Whether the fallback went.
    fallback BOOLEAN NOT NULL DEFAULT false,
    -- The day of the session's warm-up that it counts in.
    warm_up_day BIGINT,
    -- Whether it was free-form content that went only because its window was open.
    in_window BOOLEAN NOT NULL DEFAULT false,
    price_reason TEXT COLLATE "C" NOT NULL,
    counts_as_service BOOLEAN NOT NULL,
    month TEXT COLLATE "C" NOT NULL,
    book BIGINT,
    PRIMARY KEY (tenant, message, n)
);
CREATE INDEX attempt_by_recipient ON attempt (tenant, recipient, begun_at);
CREATE INDEX attempt_by_session ON attempt (session, begun_at, recipient);
CREATE INDEX attempt_by_pair ON attempt (session, recipient, begun_at, message);
CREATE INDEX attempt_by_slot ON attempt (recipient, begun_at) WHERE tier_slot;

-- Attempts without any outcome yet.
CREATE TABLE open_attempt (
    session UUID NOT NULL,
    end_by TIMESTAMPTZ NOT NULL,
    tenant UUID NOT NULL,
    message UUID NOT NULL,
    n BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    PRIMARY KEY (session, end_by, tenant, message, n)
);

-- What is known of an attempt: the earliest instant of each fact.
CREATE TABLE result (
    tenant UUID NOT NULL,
    message UUID NOT NULL,
    n BIGINT NOT NULL,
    facts BIGINT NOT NULL,
    not_sent_at TIMESTAMPTZ,
    rejected_at TIMESTAMPTZ,
    accepted_at TIMESTAMPTZ,
    in_doubt_at TIMESTAMPTZ,
    sent_at TIMESTAMPTZ,
    delivered_at TIMESTAMPTZ,
    read_at TIMESTAMPTZ,
    played_at TIMESTAMPTZ,
    failed_at TIMESTAMPTZ,
    released_at TIMESTAMPTZ,
    code BIGINT,
    class TEXT COLLATE "C",
    title TEXT COLLATE "C",
    details TEXT COLLATE "C",
    provider_id TEXT COLLATE "C",
    provider_hash BIGINT,
    charge TEXT COLLATE "C",
    PRIMARY KEY (tenant, message, n)
);
CREATE INDEX result_by_provider ON result (provider_hash) WHERE provider_hash IS NOT NULL;

-- Further provider ids of an attempt, which only a request that was repeated on its way has.
CREATE TABLE other_name (
    provider_hash BIGINT NOT NULL,
    provider_id TEXT COLLATE "C" NOT NULL,
    tenant UUID NOT NULL,
    message UUID NOT NULL,
    n BIGINT NOT NULL,
    PRIMARY KEY (provider_hash, provider_id, tenant, message, n)
);

CREATE TABLE closed (
    tenant UUID NOT NULL,
    message UUID NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (tenant, message)
);

-- Messages whose last word is in doubt: when each is looked at, and since when nothing more is expected of it.
CREATE TABLE doubt (
    tenant UUID NOT NULL,
    message UUID NOT NULL,
    session UUID NOT NULL,
    look_at TIMESTAMPTZ,
    given_up_at TIMESTAMPTZ,
    PRIMARY KEY (tenant, message)
);
CREATE INDEX doubt_to_look_at ON doubt (session, look_at, tenant, message) WHERE look_at IS NOT NULL;

-- Messages that failed for good. The nil campaign is none.
CREATE TABLE failure (
    tenant UUID NOT NULL,
    message UUID NOT NULL,
    campaign UUID NOT NULL,
    session UUID NOT NULL,
    code BIGINT,
    class TEXT COLLATE "C",
    critical BOOLEAN NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (tenant, message)
);
CREATE INDEX failure_by_campaign ON failure (tenant, campaign, message);
CREATE INDEX failure_by_code ON failure (tenant, code, message);
CREATE INDEX failure_critical ON failure (tenant, message) WHERE critical;

-- How many attempts a message had when it was last put back by hand.
CREATE TABLE redriven (
    tenant UUID NOT NULL,
    message UUID NOT NULL,
    attempts BIGINT NOT NULL,
    PRIMARY KEY (tenant, message)
);

-- What is remembered of campaigns that had failures.
CREATE TABLE campaign_meter (
    tenant UUID NOT NULL,
    campaign UUID NOT NULL,
    meter TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, campaign)
);

-- How far a session's attempts were listened to, and what was heard.
CREATE TABLE listened (
    tenant UUID NOT NULL,
    session UUID PRIMARY KEY,
    upto TIMESTAMPTZ NOT NULL,
    silent BIGINT NOT NULL,
    deaf BOOLEAN NOT NULL
);

-- Attempts that were taken and of which nothing was heard in time.
CREATE TABLE silent (
    tenant UUID NOT NULL,
    message UUID NOT NULL,
    n BIGINT NOT NULL,
    PRIMARY KEY (tenant, message, n)
);

CREATE TABLE batch (
    id UUID PRIMARY KEY,
    session UUID,
    at TIMESTAMPTZ NOT NULL
);
CREATE INDEX batch_by_age ON batch (at);

-- `uses` counts the attempts that rely on a slot; the slot goes back with the last of them.
CREATE TABLE tier_slot (
    portfolio TEXT COLLATE "C" NOT NULL,
    recipient BIGINT NOT NULL,
    taken_at TIMESTAMPTZ NOT NULL,
    until TIMESTAMPTZ NOT NULL,
    uses BIGINT NOT NULL,
    PRIMARY KEY (portfolio, recipient)
);
CREATE INDEX tier_slot_by_end ON tier_slot (portfolio, until);

CREATE TABLE tier_usage (
    portfolio TEXT COLLATE "C" PRIMARY KEY,
    used BIGINT NOT NULL
);

CREATE TABLE quota_usage (
    tenant UUID NOT NULL,
    period TEXT COLLATE "C" NOT NULL,
    used BIGINT NOT NULL,
    PRIMARY KEY (tenant, period)
);

-- Templates that went to a recipient: a row for each attempt that was not given back.
CREATE TABLE touch (
    tenant UUID NOT NULL,
    recipient BIGINT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    message UUID NOT NULL,
    n BIGINT NOT NULL,
    category TEXT COLLATE "C" NOT NULL,
    lane BIGINT NOT NULL,
    PRIMARY KEY (tenant, recipient, at, message, n)
);

-- What a new number sent on a day of its warm-up; days are counted from the year 1.
CREATE TABLE warm_up_usage (
    tenant UUID NOT NULL,
    session UUID NOT NULL,
    day BIGINT NOT NULL,
    used BIGINT NOT NULL,
    PRIMARY KEY (session, day)
);

-- Addresses that are never written to: a phone as `+` and its digits, or a business-scoped user id.
CREATE TABLE suppressed (
    tenant UUID NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (tenant, address)
);

-- What is spent or kept of a campaign's, a month's or a tenant's money (`of` is its id, its name, or
-- empty), whether or not there is a limit.
CREATE TABLE budget_use (
    tenant UUID NOT NULL,
    of BYTEA NOT NULL,
    currency TEXT COLLATE "C" NOT NULL,
    committed BIGINT NOT NULL,
    open BIGINT NOT NULL,
    last_begun_at TIMESTAMPTZ,
    PRIMARY KEY (tenant, of, currency)
);

-- Service messages of a number and month, of which some are free.
CREATE TABLE service_usage (
    tenant UUID NOT NULL,
    session UUID NOT NULL,
    month TEXT COLLATE "C" NOT NULL,
    used BIGINT NOT NULL,
    PRIMARY KEY (session, month)
);

-- What became of the attempts that were begun in a quarter of an hour, by session.
CREATE TABLE rollup (
    tenant UUID NOT NULL,
    slot TIMESTAMPTZ NOT NULL,
    session UUID NOT NULL,
    counter TEXT COLLATE "C" NOT NULL,
    n BIGINT NOT NULL,
    PRIMARY KEY (tenant, slot, session, counter)
);

-- Changes that are not folded into `rollup` yet.
CREATE TABLE rollup_delta (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant UUID NOT NULL,
    slot TIMESTAMPTZ NOT NULL,
    session UUID NOT NULL,
    counter TEXT COLLATE "C" NOT NULL,
    n BIGINT NOT NULL
);
CREATE INDEX rollup_delta_by_slot ON rollup_delta (tenant, slot);

CREATE TABLE raw (
    id UUID NOT NULL PRIMARY KEY,
    transport TEXT COLLATE "C" NOT NULL,
    digest BYTEA NOT NULL,
    body BYTEA NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    projected_at TIMESTAMPTZ
);
CREATE UNIQUE INDEX raw_by_digest ON raw (transport, digest);
CREATE INDEX raw_waiting ON raw (id) WHERE projected_at IS NULL;
CREATE INDEX raw_done ON raw (received_at) WHERE projected_at IS NOT NULL;

-- Statuses whose provider id no attempt has yet.
CREATE TABLE waiting_status (
    provider_hash BIGINT NOT NULL,
    provider_id TEXT COLLATE "C" NOT NULL,
    transport TEXT COLLATE "C" NOT NULL,
    number TEXT COLLATE "C" NOT NULL,
    fact BIGINT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    code BIGINT NOT NULL,
    class TEXT COLLATE "C",
    title TEXT COLLATE "C" NOT NULL,
    details TEXT COLLATE "C" NOT NULL,
    charge TEXT COLLATE "C" NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (provider_hash, provider_id, transport, number, fact, at, code, title, details, charge)
);
CREATE INDEX waiting_status_by_age ON waiting_status (received_at);

-- What users wrote, and what a person typed on the business's own phone (`echo`). `opens` and `asks` are
-- the rules' words on windows and conversations; `target` is the message that an edit, a deletion or a
-- reaction hangs on.
CREATE TABLE inbound (
    tenant UUID NOT NULL,
    position BIGINT NOT NULL,
    session UUID NOT NULL,
    contact UUID NOT NULL,
    echo BOOLEAN NOT NULL,
    phone BIGINT,
    bsuid TEXT COLLATE "C",
    provider_id TEXT COLLATE "C" NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    opens BOOLEAN NOT NULL,
    asks BOOLEAN NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    context TEXT COLLATE "C",
    referral TEXT COLLATE "C",
    chat TEXT COLLATE "C",
    target TEXT COLLATE "C",
    PRIMARY KEY (tenant, position)
);
CREATE UNIQUE INDEX inbound_by_provider ON inbound (session, provider_id);
CREATE INDEX inbound_by_contact ON inbound (session, contact, at, position);
CREATE INDEX inbound_by_target ON inbound (session, target, position) WHERE target IS NOT NULL;

CREATE TABLE service_window (
    tenant UUID NOT NULL,
    session UUID NOT NULL,
    contact UUID NOT NULL,
    last_user_message_at TIMESTAMPTZ NOT NULL,
    opened_at TIMESTAMPTZ NOT NULL,
    user_messages BIGINT NOT NULL,
    referral_at TIMESTAMPTZ,
    PRIMARY KEY (tenant, session, contact)
);
CREATE INDEX window_by_end ON service_window (tenant, last_user_message_at, session, contact);
CREATE INDEX window_of_session ON service_window (session, last_user_message_at, contact);

-- The ends of free entry points that webhooks named.
CREATE TABLE entry_point (
    tenant UUID NOT NULL,
    session UUID NOT NULL,
    contact UUID NOT NULL,
    until TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (tenant, session, contact)
);

CREATE TABLE conversation (
    tenant UUID NOT NULL,
    session UUID NOT NULL,
    contact UUID NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    assigned TEXT COLLATE "C",
    unread BIGINT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    last_message_at TIMESTAMPTZ NOT NULL,
    first_inbound_at TIMESTAMPTZ,
    closed_at TIMESTAMPTZ,
    PRIMARY KEY (tenant, session, contact)
);
CREATE INDEX conversation_latest ON conversation (tenant, last_message_at, session, contact);
CREATE INDEX conversation_by_state ON conversation (tenant, state, last_message_at, session, contact);
CREATE INDEX conversation_assigned ON conversation (tenant, assigned, last_message_at, session, contact)
    WHERE assigned IS NOT NULL;

-- `changes` holds the message states of one batch, 17 bytes each; every other event is JSON in `body`.
CREATE TABLE journal (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    position BIGINT,
    id UUID NOT NULL,
    tenant UUID NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    body TEXT COLLATE "C",
    changes BYTEA
);
-- A position is given when the row is first read, so that none appears behind one that was read already.
CREATE UNIQUE INDEX journal_by_position ON journal (position) WHERE position IS NOT NULL;
CREATE INDEX journal_unread ON journal (seq) WHERE position IS NULL;
CREATE INDEX journal_by_age ON journal (at);

-- The highest position ever given, also to a row that is gone.
CREATE TABLE journal_end (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    position BIGINT NOT NULL
);
INSERT INTO journal_end (one, position) VALUES (1, 0);

CREATE TABLE reader (
    name TEXT COLLATE "C" PRIMARY KEY,
    position BIGINT NOT NULL
);

CREATE TABLE notice (
    tenant UUID NOT NULL,
    id UUID NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- A tenant sees its own rows; the engine, which works across tenants, says so in each transaction. Whoever
-- says nothing sees nothing. FORCE, because the owner of the tables is the role that uses them.
DO $$
DECLARE
    owned RECORD;
BEGIN
    FOR owned IN
        SELECT c.relname AS name,
            CASE WHEN c.relname = 'tenant' THEN 'id' ELSE a.attname END AS tenant
        FROM pg_class c
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'
        WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
            AND c.relname NOT IN ('identity', 'origin', 'reconcile_need', 'schema_version')
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', owned.name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', owned.name);
        -- One policy, and a CASE: two policies are joined by OR, whose engine side the planner takes for very
        -- selective, so that it leaves the indexes.
        EXECUTE format(
            'CREATE POLICY scope ON %I USING (CASE '
            || 'WHEN (SELECT current_setting(''wa.access'', true)) = ''engine'' THEN true ELSE %s END)',
            owned.name,
            CASE WHEN owned.tenant IS NULL THEN 'false' ELSE format(
                '%I = (SELECT nullif(current_setting(''wa.tenant'', true), '''')::uuid)', owned.tenant) END);
    END LOOP;
END
$$;
