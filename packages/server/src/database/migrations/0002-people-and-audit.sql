-- Sessions of people: the id is 256 random bits that only the browser or script has; here is its SHA-256.
create table session (
  digest          bytea primary key check (length(digest) = 32),
  organization_id uuid not null references organization,
  person_id       uuid not null references person,
  created_at      timestamptz(3) not null,
  expires_at      timestamptz(3) not null,
  last_used_at    timestamptz(3) not null,
  address         text,
  user_agent      text
);
create index session_person on session (person_id);
create index session_expiry on session (expires_at);

-- Audit log: one chain per organization. `hash` is SHA-256 over the hash before it and the event's canonical text, so
-- an event that is changed, removed or slipped in breaks every hash after it.
create table audit_event (
  organization_id uuid not null references organization,
  sequence        bigint not null,
  at              timestamptz(3) not null,
  actor_kind      text not null check (actor_kind in ('person', 'key', 'system', 'anonymous')),
  actor_id        uuid,
  action          text not null,                     -- api-key.created, sign-in.refused, ...
  target_kind     text,
  target_id       text,
  address         text,                              -- as text: an inet would be read back written differently
  request_id      uuid,
  details         json not null,
  hash            bytea not null check (length(hash) = 32),
  primary key (organization_id, sequence)
);
create index audit_event_at on audit_event (organization_id, at);

-- Nobody changes what was written, whatever they were granted; ALWAYS: also while triggers are off for replication.
create function refuse_audit_change() returns trigger language plpgsql as $$
begin
  raise exception 'the audit log is append-only' using errcode = 'insufficient_privilege';
end $$;
create trigger audit_event_append_only before update or delete or truncate on audit_event
  for each statement execute function refuse_audit_change();
alter table audit_event enable always trigger audit_event_append_only;

-- The end of each chain; its row lock puts events of one organization in order.
create table audit_head (
  organization_id uuid primary key references organization,
  sequence        bigint not null,
  hash            bytea not null check (length(hash) = 32)
);
create trigger audit_head_stays before delete or truncate on audit_head
  for each statement execute function refuse_audit_change();
create trigger audit_head_advances before update on audit_head
  for each row when (new.organization_id <> old.organization_id or new.sequence <> old.sequence + 1) execute function refuse_audit_change();
alter table audit_head enable always trigger audit_head_stays;
alter table audit_head enable always trigger audit_head_advances;

-- A used nonce of a signed request counts once, on every node.
create table signature_nonce (
  key_id          uuid not null,
  nonce           text not null,
  expires_at      timestamptz(3) not null,
  primary key (key_id, nonce)
);
create index signature_nonce_expiry on signature_nonce (expires_at);

create trigger person_changed after update of role, is_active, password_hash, email, name or delete or truncate on person
  for each statement execute function raise_access_epoch();
-- By row: most statements that look for sessions to end find none.
create trigger session_removed after delete on session for each row execute function raise_access_epoch();
