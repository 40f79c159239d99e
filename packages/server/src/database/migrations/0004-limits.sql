-- Plans: what the customers on them may use. Every node keeps them in memory and reads them anew when the epoch rises.

create table plan (
  id                        uuid primary key,
  slug                      text not null unique check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  name                      text not null check (length(name) between 1 and 200),
  mode                      text not null check (mode in ('enforce', 'report')),
  -- Token bucket of a customer's reads: starts full, refills each second.
  read_capacity             integer not null check (read_capacity > 0),
  read_refill_per_second    double precision not null check (read_refill_per_second >= 0.001),
  -- Beyond these a request waits its turn, and beyond the line or its time it is refused.
  concurrent_requests_max   integer not null check (concurrent_requests_max > 0),
  wait_ms_max               integer not null check (wait_ms_max >= 0),
  waiting_requests_max      integer not null check (waiting_requests_max >= 0),
  streams_max               integer not null check (streams_max >= 0),
  -- Announced numbers by the names of the API: reported beside those above, enforced by nobody.
  proposed                  json,
  created_at                timestamptz(3) not null,
  updated_at                timestamptz(3) not null
);

-- Whoever has no other plan. 100 pages of 500 records a second go on for ever and 1,000 at once, 50 of them side by
-- side; a program that fetches what it needs meets none of this, one that runs in a circle does within seconds.
insert into plan values ('00000000-0000-7000-8000-000000000001', 'standard', 'Standard', 'enforce',
  1000, 100, 50, 250, 100, 100, null, now(), now());

-- Null: the plan 'standard'.
alter table organization add column plan_id uuid references plan;
create index organization_plan on organization (plan_id) where plan_id is not null;

-- What holds instead of a product file's intakeLimit.
create table product_limit (
  product                   text primary key check (length(product) between 1 and 63),
  requests_max              integer not null check (requests_max > 0),
  window_seconds            integer not null check (window_seconds between 1 and 86400),
  -- For all VINs and plants together; null: no such limit.
  total_requests_max        integer check (total_requests_max > 0),
  total_window_seconds      integer check (total_window_seconds between 1 and 86400),
  mode                      text not null check (mode in ('enforce', 'report')),
  proposed_requests_max     integer check (proposed_requests_max > 0),
  proposed_window_seconds   integer check (proposed_window_seconds between 1 and 86400),
  created_at                timestamptz(3) not null,
  updated_at                timestamptz(3) not null,
  check ((total_requests_max is null) = (total_window_seconds is null)),
  check ((proposed_requests_max is null) = (proposed_window_seconds is null))
);

create trigger plan_changed after insert or update or delete or truncate on plan
  for each statement execute function raise_access_epoch();
create trigger product_limit_changed after insert or update or delete or truncate on product_limit
  for each statement execute function raise_access_epoch();
create trigger organization_plan_changed after update of plan_id on organization
  for each statement execute function raise_access_epoch();

-- What each key used on each day (UTC), added up by the nodes every few seconds.
create table usage_day (
  organization_id  uuid not null references organization,
  day              date not null,
  key_id           uuid not null,
  requests         bigint not null,
  refused          bigint not null,
  would_refuse     bigint not null,
  bytes            bigint not null,
  primary key (organization_id, day, key_id)
);
create index usage_day_day on usage_day (day);

select bind_to_organization('usage_day');
grant select on usage_day to gladhand_app;
grant select, insert, update, delete on usage_day to gladhand_system;
grant select, insert, update, delete on plan to gladhand_system;
grant select, insert, update on product_limit to gladhand_system;
