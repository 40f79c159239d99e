import { constants, type ServerHttp2Stream } from 'node:http2';

/**
 * Cuts one gRPC stream (RST_STREAM with ENHANCE_YOUR_CALM, which a gRPC client sees as RESOURCE_EXHAUSTED) and leaves
 * the others of its connection alone. grpc-js has no public way to do this: a stream that the client does not read can
 * otherwise be ended only together with its connection, so this reaches for the HTTP/2 stream inside the call. Tells
 * whether it was found; a test holds it to the version in use.
 */
export function resetStream(call: object): boolean {
  let inner = (call as { call?: unknown }).call as { nextCall?: unknown; stream?: ServerHttp2Stream } | undefined;
  while (inner?.nextCall !== undefined) inner = inner.nextCall as typeof inner;
  const stream = inner?.stream;
  if (typeof stream?.close !== 'function') return false;
  stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  return true;
}
