import { promisify } from 'node:util';
import { brotliDecompress, gunzip, zstdDecompress } from 'node:zlib';
import { Fault } from '../base/fault.ts';

/** Undoes `Content-Encoding`, never writing more than `bytesMax`: a bomb stops there, however small it arrived. */
const DECODERS = { gzip: promisify(gunzip), br: promisify(brotliDecompress), zstd: promisify(zstdDecompress) } as const;

export async function decodeBody(body: Buffer, encoding: string, bytesMax: number): Promise<Buffer> {
  const decode = DECODERS[encoding.trim().toLowerCase() as keyof typeof DECODERS];
  if (decode === undefined) {
    throw new Fault(
      'unsupported-media-type',
      `Content-Encoding \`${encoding.slice(0, 50)}\` is not supported; use gzip, br, zstd or none.`,
    );
  }
  try {
    return (await decode(body, { maxOutputLength: bytesMax })) as Buffer;
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
