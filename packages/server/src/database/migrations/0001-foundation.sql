-- Organizations and people -------------------------------------------------------------------------------------------

create table organization (
  id          uuid primary key,
  slug        text not null unique check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  name        text not null check (length(name) between 1 and 200),
  -- 'operator' runs the installation: its partner keys may send for the assets of every organization.
  -- 'customer' owns assets: its keys send for and read its own assets only.
  kind        text not null check (kind in ('operator', 'customer')),
  created_at  timestamptz(3) not null,
  updated_at  timestamptz(3) not null
);

create table person (
  id              uuid primary key,
  organization_id uuid not null references organization,
  email           text not null,
  name            text not null check (length(name) between 1 and 200),
  role            text not null check (role in ('ADMIN', 'OPERATOR', 'VIEWER')),
  password_hash   text,                              -- argon2id in PHC string form; null: cannot sign in by password
  is_active       boolean not null default true,
  created_at      timestamptz(3) not null,
  updated_at      timestamptz(3) not null
);
create unique index person_email on person (lower(email));
create index person_organization on person (organization_id, id);

-- Keys and tokens ----------------------------------------------------------------------------------------------------

create table api_key (
  id                 uuid primary key,
  organization_id    uuid not null references organization,
  audience           text not null check (audience in ('partner', 'customer')),
  partner_id         text not null check (length(partner_id) between 1 and 100),
  name               text not null check (length(name) between 1 and 100),
  scopes             text[] not null check (cardinality(scopes) > 0),
  allowed_ips        cidr[] not null default '{}',   -- empty: any address
  allowed_plant_ids  uuid[],                         -- null: every plant of the organization
  require_signature  boolean not null default false,
  generation         integer not null default 1,     -- raised by rotation; a token carries the one it was minted under
  expires_at         timestamptz(3),
  revoked_at         timestamptz(3),
  created_by         uuid references person,
  created_at         timestamptz(3) not null,
  updated_at         timestamptz(3) not null
);
create index api_key_organization on api_key (organization_id, id);

-- One row per generation of a key. The digest is HMAC-SHA-256 under a pepper that is not in the database, so a copy
-- of this table authenticates nothing and a row written into it by a stranger does not either.
create table api_key_secret (
  key_id             uuid not null references api_key on delete cascade,
  generation         integer not null,
  public_id          text not null unique check (public_id ~ '^[0-9A-Za-z]{12}$'),
  prefix             text not null,
  digest             bytea not null check (length(digest) = 32),
  pepper_version     integer not null,
  expires_at         timestamptz(3),                 -- the end of the overlap once a newer generation exists
  created_at         timestamptz(3) not null,
  last_used_at       timestamptz(3),
  last_used_address  inet,
  primary key (key_id, generation)
);

-- Token signing keys are derived from the installation secret by number; only number and life are stored.
create table token_signing_key (
  number       integer primary key,
  activates_at timestamptz(3) not null,              -- published in the JWKS before, signs from here on
  retires_at   timestamptz(3)                        -- verifies until here
);

-- Raised in the transaction of every change that a node must know of before it admits the next request. Each node polls
-- this one row, so the cost of prompt revocation does not depend on the number of keys.
create table access_epoch (
  singleton boolean primary key default true check (singleton),
  value     bigint not null
);
insert into access_epoch (value) values (0);

create function raise_access_epoch() returns trigger language plpgsql as $$
begin
  update access_epoch set value = value + 1;
  return null;
end $$;
create trigger api_key_changed after insert or update or delete or truncate on api_key
  for each statement execute function raise_access_epoch();
create trigger api_key_secret_changed after insert or update of digest, expires_at or delete or truncate on api_key_secret
  for each statement execute function raise_access_epoch();
create trigger token_signing_key_changed after insert or update or delete or truncate on token_signing_key
  for each statement execute function raise_access_epoch();

-- Registry -----------------------------------------------------------------------------------------------------------

create table fleet (
  id              uuid primary key,
  organization_id uuid not null references organization,
  name            text not null check (length(name) between 1 and 200),
  is_active       boolean not null default true,
  created_at      timestamptz(3) not null,
  updated_at      timestamptz(3) not null
);
create index fleet_organization on fleet (organization_id, id);

create table asset (
  id              uuid primary key,
  organization_id uuid not null references organization,
  kind            text not null check (kind in ('trailer', 'deliversafe', 'plant')),
  fleet_id        uuid references fleet,
  vin             text unique check (vin ~ '^[A-HJ-NPR-Z0-9]{17}$'),
  vin_check       text check (vin_check in ('pass', 'fail')),
  name            text not null check (length(name) between 1 and 200),
  unit_number     text,
  serial_number   text,
  is_active       boolean not null default true,
  created_at      timestamptz(3) not null,
  updated_at      timestamptz(3) not null,
  check ((vin is null) = (kind = 'plant')),
  check ((vin is null) = (vin_check is null)),
  check (kind <> 'deliversafe' or serial_number is not null)
);
create index asset_organization on asset (organization_id, kind, id);
create index asset_fleet on asset (fleet_id, id) where fleet_id is not null;

create table device (
  id              uuid primary key,
  organization_id uuid not null references organization,
  asset_id        uuid not null references asset,
  product         text not null,
  external_id     text not null check (length(external_id) between 1 and 200),
  kind            text not null,
  is_active       boolean not null default true,
  first_seen_at   timestamptz(3),
  last_seen_at    timestamptz(3),
  created_at      timestamptz(3) not null,
  updated_at      timestamptz(3) not null,
  unique (organization_id, product, external_id)
);
create index device_asset on device (asset_id, id);

-- Intake: the vault of raw envelopes, and the log the mapper reads -----------------------------------------------------

create table envelope (
  id               uuid not null,                     -- UUIDv7, also the receipt's id; its time is received_at
  received_at      timestamptz(3) not null,
  organization_id  uuid not null,                     -- of the key that sent it
  key_id           uuid not null,
  partner_id       text not null,
  product          text not null,
  vin              text,                              -- the asset the path named: a VIN, or a plant
  plant_id         uuid,
  body             bytea not null,                    -- the bytes as they arrived, after content decoding
  primary key (received_at, id),
  check ((vin is null) <> (plant_id is null))
) partition by range (received_at);

create table intake_log (
  sequence         bigint generated always as identity primary key,
  envelope_id      uuid not null,
  received_at      timestamptz(3) not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000);

-- Entries of products that the node which maps does not have. They keep their sequence and go back into intake_log when
-- a node has the product.
create table intake_deferred (
  sequence         bigint primary key,
  envelope_id      uuid not null,
  received_at      timestamptz(3) not null,
  product          text not null
);
create index intake_deferred_product on intake_deferred (product);

create table idempotency (
  key_id           uuid not null,
  idempotency_key  text not null,
  fingerprint      bytea not null,                    -- SHA-256 over the path's asset and the body
  envelope_id      uuid not null,
  received_at      timestamptz(3) not null,
  primary key (key_id, idempotency_key)
);
create index idempotency_age on idempotency (received_at);

-- What became of an envelope. No row: still queued.
create table receipt (
  envelope_id      uuid not null,
  received_at      timestamptz(3) not null,
  organization_id  uuid not null,
  partner_id       text not null,
  product          text not null,
  status           text not null check (status in ('processed', 'partly-rejected', 'rejected', 'unclaimed')),
  mapping_version  integer,
  processed_at     timestamptz(3) not null,
  record_ids       uuid[] not null,
  skipped          integer not null,                  -- elements a mapping's `when` left out
  rejects          json not null,                     -- [{code, pointer, expression, found, detail, record}]
  unclaimed        text[] not null,                   -- VINs and plant ids nobody has registered
  primary key (received_at, envelope_id)
) partition by range (received_at);

create table unclaimed (
  asset_name       text not null,                     -- VIN or plant id
  envelope_id      uuid not null,
  received_at      timestamptz(3) not null,
  organization_id  uuid not null,
  primary key (asset_name, received_at, envelope_id)
);
create index unclaimed_age on unclaimed (received_at);

-- Claims that nobody has looked into `unclaimed` for yet. Written with the asset, whoever registers it, so that no claim
-- is missed; the mapper looks up the name and deletes the row.
create table new_claim (
  asset_id         uuid primary key,
  organization_id  uuid not null,
  asset_name       text not null                      -- as in `unclaimed`: the VIN, or the id of a plant
);
create function note_new_claim() returns trigger language plpgsql as $$
begin
  insert into new_claim (asset_id, organization_id, asset_name)
  values (new.id, new.organization_id, coalesce(new.vin, new.id::text));
  return null;
end $$;
create trigger asset_claimed after insert on asset for each row execute function note_new_claim();

-- A duty that one node at a time has. `fence` rises with every new holder, and (name, fence) is a key, so that a new
-- holder waits for transactions that hold `for key share` on the row, and a renewal does not.
create table lease (
  name             text primary key,
  holder           uuid not null,
  fence            bigint not null,
  backend_pid      integer not null,                  -- of the holder's session
  expires_at       timestamptz not null,
  unique (name, fence)
);

-- Partitions past their retention: detached first, dropped a day later.
create table retired_partition (
  name             text primary key,
  parent           text not null,
  retired_at       timestamptz not null default now()
);

-- Telemetry: the truth -------------------------------------------------------------------------------------------------

-- The sequencer (decision 0001). The row lock taken by raising `value` is held until commit, so positions become
-- visible in their own order: whoever sees position n sees every position below it.
create table telemetry_position (
  singleton boolean primary key default true check (singleton),
  value     bigint not null
);
insert into telemetry_position (value) values (0);

create table record (
  id               uuid not null,                     -- UUIDv7 of observed_at; random bits are the content's SHA-256
  asset_id         uuid not null,
  observed_at      timestamptz(3) not null,
  organization_id  uuid not null,
  fleet_id         uuid,
  asset_kind       text not null,
  device_id        uuid,
  device_at        timestamptz(3),
  received_at      timestamptz(3) not null,
  processed_at     timestamptz(3) not null,
  product          text not null,
  mapping_version  integer not null,
  receipt_id       uuid not null,
  position         bigint not null,
  signal_groups    integer not null,                  -- bit set, see telemetry/signal-groups.ts; bit 0 is gps
  signals          json not null,                     -- canonical signals by group
  states           json,                              -- metric -> notAvailable | error, where not ok
  primary key (asset_id, observed_at, id)
) partition by range (observed_at);
create index record_gps on record (asset_id, observed_at, id) where (signal_groups & 1) = 1;
create index record_device on record (device_id, observed_at, id) where device_id is not null;
create index record_position on record (organization_id, position);

-- By group of signals, so that a record of one group neither reads nor writes the values of the others.
create table latest (
  asset_id         uuid not null,
  signal_group     text not null,                     -- gps, tires, reefer, ...
  organization_id  uuid not null,
  metrics          json not null,                     -- metric -> {value, observedAt, receivedAt, recordId, deviceId}
  is_capped        boolean not null,                  -- of more metrics than are kept, the oldest are missing
  primary key (asset_id, signal_group)
) with (fillfactor = 60, toast_tuple_target = 8160);
-- Some hundred bytes, rewritten with every batch that has the group: kept in the row and not compressed.
alter table latest alter column metrics set storage external;
