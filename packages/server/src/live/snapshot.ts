import type { JsonObject } from '@bufbuild/protobuf';
import type { LatestValues } from '@gladhand/contract/gen/gladhand/livefeed/v1/livefeed_pb.ts';
import type { TelemetryReader } from '../telemetry/read.ts';
import { MESSAGE_BYTES_MAX } from './batch.ts';
import type { RecordFilter } from './filter.ts';
import type { Outlet } from './outlet.ts';
import { latestValues, snapshotMessage } from './wire.ts';

/** Assets read at once: 20 pages for 1,000 trailers, some 5 KiB each. */
const ASSETS_TAKE = 50;

/** Writes a snapshot into an outlet, as fast as its client reads. */
export interface SnapshotWriter {
  /** Resolves when all but the last message is written, or when the writer was closed. */
  write(): Promise<void>;
  /** The outlet has room again. */
  resume(): void;
  close(): void;
}

export function createSnapshotWriter(messages: AsyncIterable<Buffer>, outlet: Outlet): SnapshotWriter {
  let isClosed = false;
  let resume: (() => void) | null = null;
  return {
    async write() {
      for await (const message of messages) {
        while (outlet.isFull && !isClosed) await new Promise<void>((resolve) => (resume = resolve));
        resume = null;
        if (isClosed) return;
        outlet.write(message);
      }
    },
    resume: () => resume?.(),
    close() {
      isClosed = true;
      resume?.();
    },
  };
}

/**
 * The latest values of every asset a filter lets pass, as SubscribeResponse messages that are not the last of the
 * snapshot. Fleets are taken as they are now. Each asset comes once, however often it is named.
 */
export async function* snapshotMessages(
  reader: TelemetryReader,
  organizationId: string,
  filter: RecordFilter,
): AsyncGenerator<Buffer> {
  const seen = new Set<string>();
  let assets: LatestValues[] = [];
  let bytes = 0;
  for (const slice of slices(filter)) {
    let afterAssetId: string | null = null;
    do {
      const page = await reader.latest({
        organizationId,
        plantIds: filter.plantIds,
        ...slice,
        afterAssetId,
        take: ASSETS_TAKE,
      });
      for (const row of page.rows) {
        if (seen.has(row.assetId)) continue;
        seen.add(row.assetId);
        const values = narrow(JSON.parse(row.json) as JsonObject, filter);
        if (values === null) continue;
        assets.push(latestValues(values));
        bytes += row.json.length;
        if (bytes < MESSAGE_BYTES_MAX) continue;
        yield snapshotMessage(assets, null);
        assets = [];
        bytes = 0;
      }
      afterAssetId = page.afterAssetId;
    } while (afterAssetId !== null);
  }
  if (assets.length > 0) yield snapshotMessage(assets, null);
}

function slices(filter: RecordFilter): ({ fleetId: string } | { assetId: string } | Record<never, never>)[] {
  const named = [
    ...[...filter.fleetIds].map((fleetId) => ({ fleetId })),
    ...[...filter.assetIds].map((assetId) => ({ assetId })),
  ];
  return named.length === 0 ? [{}] : named;
}

/** The values the filter lets pass; null when nothing is left. */
function narrow(values: JsonObject, filter: RecordFilter): JsonObject | null {
  if (filter.plantIds !== null && values['assetKind'] === 'plant' && !filter.plantIds.has(values['assetId'] as string))
    return null;
  const { signals } = filter;
  if (signals === null) return values;
  const metrics = Object.entries(values['metrics'] as JsonObject).filter(([metric]) =>
    signals.has(metric.split(/[.[]/, 1)[0]!),
  );
  return metrics.length === 0 ? null : { ...values, metrics: Object.fromEntries(metrics) };
}
