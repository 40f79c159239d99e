import { promisify } from 'node:util';
import { brotliDecompress, gunzip, zstdDecompress } from 'node:zlib';
import { Fault } from '@gladhand/base/fault.ts';

const DECODERS = { gzip: promisify(gunzip), br: promisify(brotliDecompress), zstd: promisify(zstdDecompress) } as const;
export type Coding = keyof typeof DECODERS;

/** Telemetry in JSON shrinks to about a tenth. */
const DECODED_TIMES = 10;
/** Decoded in one piece where it can be, because pieces have to be copied together. */
const PIECE_BYTES_MIN = 16 * 1024;
const PIECE_BYTES_MAX = 512 * 1024;

/** How many bytes an encoded body will probably have. */
export function guessDecodedBytes(body: Buffer, bytesMax: number): number {
  return Math.min(bytesMax, body.length * DECODED_TIMES);
}

/** What `Content-Encoding` names, in either case; undefined: nothing to undo. `x-gzip` is gzip (RFC 9110 8.4.1.3). */
export function readCoding(header: string | undefined): Coding | undefined {
  const name = header?.trim().toLowerCase() ?? '';
  if (name === '' || name === 'identity') return undefined;
  const coding = name === 'x-gzip' ? 'gzip' : name;
  if (Object.hasOwn(DECODERS, coding)) return coding as Coding;
  throw new Fault(
    'unsupported-media-type',
    `Content-Encoding \`${name.slice(0, 50)}\` is not supported; use gzip, br, zstd or none.`,
    { headers: { 'accept-encoding': Object.keys(DECODERS).join(', ') } },
  );
}

/** Undoes `Content-Encoding`, never writing more than `bytesMax`: a bomb stops there, however small it arrived. */
export async function decodeBody(body: Buffer, coding: Coding, bytesMax: number): Promise<Buffer> {
  const decode = DECODERS[coding];
  try {
    const chunkSize = Math.max(PIECE_BYTES_MIN, Math.min(PIECE_BYTES_MAX, guessDecodedBytes(body, bytesMax)));
    return (await decode(body, { maxOutputLength: bytesMax, chunkSize })) as Buffer;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      throw new Fault(
        'body-too-large',
        `The body is larger than ${bytesMax} bytes after decoding. Split it into several requests.`,
        { cause: error },
      );
    }
    throw new Fault('malformed-encoding', `The body is not valid ${coding}. Check Content-Encoding.`, {
      cause: error,
    });
  }
}
