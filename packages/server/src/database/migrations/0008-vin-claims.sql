-- A VIN is unique within an organization, no longer in the whole installation (decision 0011): a refusal told every
-- organization which VINs another one has. Whose telemetry it is follows from who registered it first and still has it
-- in service.
alter table asset drop constraint asset_vin_key;
create unique index asset_organization_vin on asset (organization_id, vin) where vin is not null;
create index asset_vin on asset (vin) where vin is not null;

-- Since when is_active is what it is.
alter table asset add column is_active_since timestamptz(3) not null default now();
-- Row-level security holds for the owner too, who would update nothing.
alter table asset no force row level security;
update asset set is_active_since = case when is_active then created_at else updated_at end;
alter table asset force row level security;
