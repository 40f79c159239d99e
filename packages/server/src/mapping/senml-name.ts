import { normalizeVin } from '@gladhand/contract/vin.ts';

/** What a resolved SenML name says: whose value it is, and which. */
export interface SenmlName {
  /** What stands where a VIN should; it may be none. Undefined where the name names no vehicle. */
  readonly vin: string | undefined;
  /** The device, where the name names no vehicle; '' where it names nothing but the signal. */
  readonly device: string;
  readonly signal: string;
}

/** A name that begins so speaks of a vehicle (URN schemes and namespaces are case-insensitive, RFC 8141 3.1). */
const CLAIM = /^\s*(?:urn:vin|vin(?![a-z0-9]))/i;
const VEHICLE = /^\s*(?:urn:)?vin:([^:/]*)(?:[:/](.*))?$/is;
/** A base name that ends with its VIN, the colon after it left out. */
const BASE_VEHICLE = /^\s*(?:urn:)?vin:([^:/]+)$/i;

/** A device's name (RFC 9039) ends before the next `:`, `/` or `_`; the signal is what stands after that. */
const DEVICE = /^\s*(urn:dev:[^:]+:[^:/_]+)(?:[:/_](.*))?$/is;

/**
 * The name of a value is the base name and its own name put together, and only the whole has a meaning (RFC 8428 4.5.1).
 * A name that claims to name a vehicle always gives a `vin`, so that a wrong one is refused and never taken for nobody's.
 * A device's URN may be split over both in the same way. Any other base name is a device's, and the signal is what stands
 * after it.
 */
export function readSenmlName(base: string, own: string): SenmlName {
  const whole = base + own;
  if (!CLAIM.test(base) && !CLAIM.test(whole)) return { vin: undefined, ...readDeviceName(base, own) };
  const [, text = whole, signal = ''] = VEHICLE.exec(whole) ?? [whole, whole, own];
  const vin = normalizeVin(text);
  if (vin.ok) return { vin: vin.vin, device: '', signal };
  const [, textOfBase] = BASE_VEHICLE.exec(base) ?? [];
  if (textOfBase === undefined || own === '' || /^[:/]/.test(own)) return { vin: text, device: '', signal };
  const vinOfBase = normalizeVin(textOfBase);
  return { vin: vinOfBase.ok ? vinOfBase.vin : textOfBase, device: '', signal: own };
}

function readDeviceName(base: string, own: string): { device: string; signal: string } {
  const [, deviceOfBase = '', after] = DEVICE.exec(base) ?? [];
  // A base name that ends with its device, the separator after it left out.
  if (deviceOfBase !== '' && after === undefined && !/^[:/_]/.test(own)) return { device: deviceOfBase, signal: own };
  const [, device, signal = ''] = DEVICE.exec(base + own) ?? [];
  if (device !== undefined) return { device, signal };
  return own === '' ? { device: '', signal: base } : { device: base, signal: own };
}
