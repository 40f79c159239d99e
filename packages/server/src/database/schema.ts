import type { AssetKind } from '@gladhand/contract/record.ts';
import type { ColumnType, Generated, GeneratedAlways } from 'kysely';

/**
 * The tables of `migrations/`, as Kysely sees them. `timestamptz(3)` is a Date, `bigint` a number (positions and
 * sequences stay below 2^53, see `column-types.ts`), `json` is written as text and read as a value.
 */
export interface Schema {
  organization: OrganizationTable;
  person: PersonTable;
  api_key: ApiKeyTable;
  api_key_secret: ApiKeySecretTable;
  token_signing_key: TokenSigningKeyTable;
  access_epoch: AccessEpochTable;
  fleet: FleetTable;
  asset: AssetTable;
  device: DeviceTable;
  envelope: EnvelopeTable;
  intake_log: IntakeLogTable;
  intake_deferred: IntakeDeferredTable;
  idempotency: IdempotencyTable;
  receipt: ReceiptTable;
  leaf_paths: LeafPathsTable;
  arrival: ArrivalTable;
  unclaimed: UnclaimedTable;
  new_claim: NewClaimTable;
  lease: LeaseTable;
  retired_partition: RetiredPartitionTable;
  telemetry_position: TelemetryPositionTable;
  record: RecordTable;
  latest: LatestTable;
  session: SessionTable;
  audit_event: AuditEventTable;
  audit_head: AuditHeadTable;
  signature_nonce: SignatureNonceTable;
  plan: PlanTable;
  product_limit: ProductLimitTable;
  usage_day: UsageDayTable;
  product_version: ProductVersionTable;
}

interface Kept {
  created_at: Date;
  updated_at: Date;
}

export interface OrganizationTable extends Kept {
  id: string;
  slug: string;
  name: string;
  kind: 'operator' | 'customer';
  plan_id: ColumnType<string | null, string | null | undefined, string | null>;
}

export interface PersonTable extends Kept {
  id: string;
  organization_id: string;
  email: string;
  name: string;
  role: 'ADMIN' | 'OPERATOR' | 'VIEWER';
  password_hash: string | null;
  is_active: Generated<boolean>;
}

export interface ApiKeyTable extends Kept {
  id: string;
  organization_id: string;
  audience: 'partner' | 'customer';
  partner_id: string;
  name: string;
  scopes: string[];
  allowed_ips: Generated<string[]>;
  allowed_plant_ids: string[] | null;
  require_signature: Generated<boolean>;
  generation: Generated<number>;
  expires_at: Date | null;
  revoked_at: Date | null;
  created_by: string | null;
}

export interface ApiKeySecretTable {
  key_id: string;
  generation: number;
  public_id: string;
  prefix: string;
  digest: Buffer;
  pepper_version: number;
  expires_at: Date | null;
  created_at: Date;
  last_used_at: Date | null;
  last_used_address: string | null;
}

export interface TokenSigningKeyTable {
  number: number;
  activates_at: Date;
  retires_at: Date | null;
}

export interface AccessEpochTable {
  singleton: Generated<boolean>;
  value: number;
}

export interface FleetTable extends Kept {
  id: string;
  organization_id: string;
  name: string;
  is_active: Generated<boolean>;
}

export interface AssetTable extends Kept {
  id: string;
  organization_id: string;
  kind: AssetKind;
  fleet_id: string | null;
  vin: string | null;
  vin_check: 'pass' | 'fail' | null;
  name: string;
  unit_number: string | null;
  serial_number: string | null;
  is_active: Generated<boolean>;
  is_active_since: Generated<Date>;
}

export interface DeviceTable extends Kept {
  id: string;
  organization_id: string;
  asset_id: string;
  product: string;
  external_id: string;
  kind: string;
  is_active: Generated<boolean>;
  first_seen_at: Date | null;
  last_seen_at: Date | null;
}

export interface EnvelopeTable {
  id: string;
  received_at: Date;
  organization_id: string;
  key_id: string;
  partner_id: string;
  product: string;
  vin: string | null;
  plant_id: string | null;
  body: Buffer;
}

export interface IntakeDeferredTable {
  sequence: number;
  envelope_id: string;
  received_at: Date;
  product: string;
}

export interface IntakeLogTable {
  sequence: GeneratedAlways<number>;
  envelope_id: string;
  received_at: Date;
}

export interface IdempotencyTable {
  key_id: string;
  idempotency_key: string;
  fingerprint: Buffer;
  envelope_id: string;
  received_at: Date;
}

export interface ReceiptTable {
  envelope_id: string;
  received_at: Date;
  organization_id: string;
  partner_id: string;
  product: string;
  status: 'processed' | 'partly-rejected' | 'rejected' | 'nothing-taken' | 'unclaimed';
  mapping_version: number | null;
  processed_at: Date;
  record_ids: string[];
  skipped: number;
  rejects_total: Generated<number>;
  rejects: JsonColumn;
  leaves: number[] | null;
  leaf_paths_id: string | null;
  repeats: string | null;
  unclaimed: string[];
}

export interface LeafPathsTable {
  organization_id: string;
  id: string;
  left_out: string[];
  unused: string[];
  /** A day, YYYY-MM-DD. */
  seen_on: ColumnType<string, string, string>;
}

export interface ArrivalTable {
  key_id: string;
  asset_name: string;
  digest: Buffer;
  received_at: Date;
  envelope_id: string;
}

export interface UnclaimedTable {
  asset_name: string;
  envelope_id: string;
  received_at: Date;
  organization_id: string;
}

export interface NewClaimTable {
  asset_id: string;
  organization_id: string;
  asset_name: string;
}

export interface LeaseTable {
  name: string;
  holder: string;
  fence: number;
  backend_pid: number;
  expires_at: Date;
}

export interface RetiredPartitionTable {
  name: string;
  parent: string;
  retired_at: Generated<Date>;
}

export interface TelemetryPositionTable {
  singleton: Generated<boolean>;
  value: number;
}

export interface RecordTable {
  id: string;
  asset_id: string;
  observed_at: Date;
  organization_id: string;
  fleet_id: string | null;
  asset_kind: string;
  device_id: string | null;
  device_at: Date | null;
  received_at: Date;
  processed_at: Date;
  product: string;
  mapping_version: number;
  receipt_id: string;
  position: number;
  signal_groups: number;
  signals: JsonColumn;
  states: ColumnType<unknown, string | null, string | null>;
}

export interface LatestTable {
  asset_id: string;
  signal_group: string;
  organization_id: string;
  metrics: JsonColumn;
  is_capped: boolean;
}

export interface SessionTable {
  digest: Buffer;
  organization_id: string;
  person_id: string;
  created_at: Date;
  expires_at: Date;
  last_used_at: Date;
  address: string | null;
  user_agent: string | null;
}

export interface AuditEventTable {
  organization_id: string;
  sequence: number;
  at: Date;
  actor_kind: 'person' | 'key' | 'system' | 'anonymous';
  actor_id: string | null;
  action: string;
  target_kind: string | null;
  target_id: string | null;
  address: string | null;
  request_id: string | null;
  details: JsonColumn;
  hash: Buffer;
}

export interface AuditHeadTable {
  organization_id: string;
  sequence: number;
  hash: Buffer;
}

export interface SignatureNonceTable {
  key_id: string;
  nonce: string;
  expires_at: Date;
}

export interface PlanTable extends Kept {
  id: string;
  slug: string;
  name: string;
  mode: 'enforce' | 'report';
  read_capacity: number;
  read_refill_per_second: number;
  concurrent_requests_max: number;
  wait_ms_max: number;
  waiting_requests_max: number;
  streams_max: number;
  proposed: ColumnType<unknown, string | null, string | null>;
}

export interface ProductLimitTable extends Kept {
  product: string;
  requests_max: number;
  window_seconds: number;
  total_requests_max: number | null;
  total_window_seconds: number | null;
  mode: 'enforce' | 'report';
  proposed_requests_max: number | null;
  proposed_window_seconds: number | null;
}

export interface UsageDayTable {
  organization_id: string;
  day: ColumnType<Date, string, string>;
  key_id: string;
  requests: number;
  refused: number;
  would_refuse: number;
  bytes: number;
}

export interface ProductVersionTable {
  product: string;
  version: number;
  content_hash: string;
  first_mapped_at: Date;
}

/** Read as a parsed value whose shape the reader checks; written as JSON text, because an array would become SQL's. */
type JsonColumn = ColumnType<unknown, string, string>;
