import { normalizeVin } from '@gladhand/contract/vin.ts';

/** The parts of a resolved SenML name: the vehicle or device, and the signal. */
export interface SenmlName {
  /** The text in place of the VIN, which may be invalid. Undefined if the name does not have a vehicle's form. */
  readonly vin: string | undefined;
  /** The device. Empty if the name has a vehicle's form, or if it is only a signal. */
  readonly device: string;
  readonly signal: string;
}

/** The beginning of a vehicle's name. URN schemes and namespaces are case-insensitive (RFC 8141 3.1). */
const VEHICLE_PREFIX = /^\s*(?:urn:vin|vin(?![a-z0-9]))/i;
const VEHICLE = /^\s*(?:urn:)?vin:([^:/]*)(?:[:/](.*))?$/is;
/** A base name that ends with the VIN, without the colon that should follow it. */
const BASE_VEHICLE = /^\s*(?:urn:)?vin:([^:/]+)$/i;

/** A device's name (RFC 9039) ends before the next `:`, `/` or `_`. The rest is the signal. */
const DEVICE = /^\s*(urn:dev:[^:]+:[^:/_]+)(?:[:/_](.*))?$/is;

/**
 * Splits a SenML name. The full name is the base name followed by the record's own name; only the full name has a meaning
 * (RFC 8428 4.5.1), so a VIN or a device's URN may be split over both.
 *
 * - A name with a vehicle's form always gives a `vin`. A wrong VIN is then rejected later and never ignored.
 * - A device's URN gives the device.
 * - Any other base name is the device, and the own name is the signal.
 */
export function readSenmlName(base: string, own: string): SenmlName {
  const whole = base + own;
  if (!VEHICLE_PREFIX.test(base) && !VEHICLE_PREFIX.test(whole))
    return { vin: undefined, ...readDeviceName(base, own) };
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
  // The base name ends with the device, and the separator after it is missing.
  if (deviceOfBase !== '' && after === undefined && !/^[:/_]/.test(own)) return { device: deviceOfBase, signal: own };
  const [, device, signal = ''] = DEVICE.exec(base + own) ?? [];
  if (device !== undefined) return { device, signal };
  return own === '' ? { device: '', signal: base } : { device: base, signal: own };
}
