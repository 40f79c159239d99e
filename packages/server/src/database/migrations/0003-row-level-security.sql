-- The second wall (decision 0007). Two roles use this schema, both made before any migration (database/roles.ts):
-- gladhand_app works for the one organization that its transaction names in gladhand.organization_id and cannot see
-- past it; gladhand_system runs the loops that serve all of them. Neither owns a table, so neither can take a wall down.

-- TEMPORARY is revoked when the database is opened, because a copy of a database does not keep that.
do $$
begin
  execute format('revoke create on schema %I from public', current_schema());
  execute format('grant usage on schema %I to gladhand_app, gladhand_system', current_schema());
end $$;

-- For a table with organization_id, here, in a later migration or for a new partition. Unset or empty, the setting is
-- an error, never all rows. The sub-select makes it one look-up per statement instead of one per row.
create function bind_to_organization(target regclass) returns void language plpgsql as $$
begin
  execute format('alter table %s enable row level security, force row level security', target);
  execute format('create policy own_organization on %s to gladhand_app
    using (organization_id = (select current_setting(''gladhand.organization_id'')::uuid))', target);
  execute format('create policy every_organization on %s to gladhand_system using (true)', target);
end $$;
revoke execute on function bind_to_organization(regclass) from public;

-- Partitions have no grants and are reached through their table, whose policies count then. Bound nevertheless.
do $$
declare
  target regclass;
begin
  for target in
    select c.oid from pg_class c join pg_attribute a on a.attrelid = c.oid
     where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
       and a.attname = 'organization_id' and not a.attisdropped
  loop
    perform bind_to_organization(target);
  end loop;
end $$;

-- Organizations themselves, and what belongs to one through its key.
alter table organization enable row level security, force row level security;
create policy own_organization on organization to gladhand_app
  using (id = (select current_setting('gladhand.organization_id')::uuid));
create policy every_organization on organization to gladhand_system using (true);

alter table api_key_secret enable row level security, force row level security;
create policy own_organization on api_key_secret to gladhand_app
  using (exists (select from api_key k where k.id = key_id));
create policy every_organization on api_key_secret to gladhand_system using (true);

-- Whoever changes a key must raise the epoch, but nobody may set it.
alter function raise_access_epoch() security definer;
do $$
begin
  execute format('alter function raise_access_epoch() set search_path = %I, pg_temp', current_schema());
end $$;

-- What the work of one organization needs. What partners sent and what became of it is written by the system alone.
grant select, update (name, updated_at) on organization to gladhand_app;
grant select, insert, update, delete on person, session, api_key, fleet, asset, device to gladhand_app;
grant select (key_id, generation, public_id, prefix, pepper_version, expires_at, created_at, last_used_at, last_used_address),
  insert, update, delete on api_key_secret to gladhand_app;
grant select on envelope, receipt, unclaimed, record, latest to gladhand_app;
grant insert on new_claim to gladhand_app;
grant select, insert on audit_event to gladhand_app;
grant select, insert, update on audit_head to gladhand_app;

-- What the loops need: provisioning and sign-in, the look-ups of access, intake, the mapper, retention.
grant select, insert, update on organization, person, api_key, api_key_secret, token_signing_key to gladhand_system;
grant select, insert, update, delete on session, signature_nonce to gladhand_system;
grant select on access_epoch, fleet, asset to gladhand_system;
grant select, insert, update on device to gladhand_system;
grant select, insert on envelope, record, audit_event to gladhand_system;
grant select, insert, delete on intake_log, intake_deferred, new_claim to gladhand_system;
grant select, insert, update on lease to gladhand_system;
grant select, insert, update, delete on idempotency, unclaimed to gladhand_system;
grant select, insert, update on receipt, audit_head to gladhand_system;
grant select, insert, update, delete on latest to gladhand_system;
grant select, update on telemetry_position to gladhand_system;
