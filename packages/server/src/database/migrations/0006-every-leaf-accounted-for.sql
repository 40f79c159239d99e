-- Receipts account for every leaf of a payload.

alter table receipt drop constraint receipt_status_check;
alter table receipt add constraint receipt_status_check
  check (status in ('processed', 'partly-rejected', 'rejected', 'nothing-taken', 'unclaimed'));
alter table receipt
  add column rejects_total integer not null default 0, -- `rejects` has the first 100
  add column leaves        integer[],                  -- taken, skipped, left out, rejected, unused; null: not mapped
  add column leaf_paths_id uuid,                       -- null: every leaf was taken, skipped or rejected
  add column repeats       uuid;                       -- the envelope of the same bytes whose clock this one was given

-- The paths of leaves that were left out or not used. Payloads of one shape have the same ones, so a receipt points to
-- them. `seen_on` is the day of the newest receipt that does; past the retention of receipts nothing points here.
create table leaf_paths (
  organization_id  uuid not null,
  id               uuid not null,                      -- from the SHA-256 of the paths
  left_out         text[] not null,
  unused           text[] not null,
  seen_on          date not null,
  primary key (organization_id, id)
);
select bind_to_organization('leaf_paths');
grant select on leaf_paths to gladhand_app;
grant select, insert, update, delete on leaf_paths to gladhand_system;

-- When bytes came first whose times count from their arrival: the same bytes shortly after are a retry.
create table arrival (
  key_id           uuid not null,
  asset_name       text not null,                      -- VIN or plant id of the path
  digest           bytea not null,                     -- SHA-256 of the body
  received_at      timestamptz(3) not null,
  envelope_id      uuid not null,
  primary key (key_id, asset_name, digest)
);
create index arrival_age on arrival (received_at);
grant select, insert, update, delete on arrival to gladhand_system;

-- A record is a position when it has both coordinates, not when it has any signal of the gps group.
drop index record_gps;
create index record_gps on record (asset_id, observed_at, id) where (signal_groups & 1073741824) <> 0;
