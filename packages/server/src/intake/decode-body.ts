import { promisify } from 'node:util';
import { brotliDecompress, gunzip, zstdDecompress } from 'node:zlib';
import { Fault } from '../base/fault.ts';

const DECODERS = { gzip: promisify(gunzip), br: promisify(brotliDecompress), zstd: promisify(zstdDecompress) } as const;

/** Telemetry in JSON shrinks to about a tenth. */
const DECODED_TIMES = 10;
/** Decoded in one piece where it can be, because pieces have to be copied together. */
const PIECE_BYTES_MIN = 16 * 1024;
const PIECE_BYTES_MAX = 512 * 1024;

/** How many bytes an encoded body will probably have. */
export function guessDecodedBytes(body: Buffer, bytesMax: number): number {
  return Math.min(bytesMax, body.length * DECODED_TIMES);
}

/** Undoes `Content-Encoding`, never writing more than `bytesMax`: a bomb stops there, however small it arrived. */
export async function decodeBody(body: Buffer, encoding: string, bytesMax: number): Promise<Buffer> {
  const decode = DECODERS[encoding.trim().toLowerCase() as keyof typeof DECODERS];
  if (decode === undefined) {
    throw new Fault(
      'unsupported-media-type',
      `Content-Encoding \`${encoding.slice(0, 50)}\` is not supported; use gzip, br, zstd or none.`,
    );
  }
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
    throw new Fault('malformed-encoding', `The body is not valid ${encoding}. Check Content-Encoding.`, {
      cause: error,
    });
  }
}
