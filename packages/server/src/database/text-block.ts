/**
 * Many texts as one parameter, each found again by `substring(bytes from offset for length)`: in an array literal every
 * quote of the JSON would be escaped here and read back there, which costs more than all the rest of the statement.
 */
export function toTextBlock(texts: readonly string[]): { bytes: Buffer; offsets: number[]; lengths: number[] } {
  const lengths = texts.map((text) => Buffer.byteLength(text));
  let end = 1;
  const offsets = lengths.map((length) => (end += length) - length);
  return { bytes: Buffer.from(texts.join('')), offsets, lengths };
}
