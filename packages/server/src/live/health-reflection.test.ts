import { once } from 'node:events';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Client, credentials, type MethodDefinition, type StatusObject, status } from '@grpc/grpc-js';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import { protoPath as healthProto } from 'grpc-health-check';
import { expect, onTestFinished, test } from 'vitest';
import { createArrayStore, openHarness } from '../../test/live-feed.ts';

const NAME = 'gladhand.livefeed.v1.LiveFeed';
const reflectionProto = join(
  dirname(createRequire(import.meta.url).resolve('@grpc/reflection/package.json')),
  'build/proto/grpc/reflection/v1/reflection.proto',
);

/** A connection, and how a method of a published proto file is called, as a stranger would know it. */
function connect(port: number, file: string, service: string, method: string) {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  onTestFinished(() => client.close());
  const methods = loadSync(file, { enums: String })[service] as ServiceDefinition;
  return { client, method: methods[method]! as unknown as MethodDefinition<object, object> };
}

function openReflection(port: number) {
  const { client, method } = connect(
    port,
    reflectionProto,
    'grpc.reflection.v1.ServerReflection',
    'ServerReflectionInfo',
  );
  return client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize);
}

test('the health service says SERVING for what is served, and does not know anything else', async () => {
  const { feed } = await openHarness(createArrayStore().reader);
  const { client, method } = connect(feed.port, healthProto, 'grpc.health.v1.Health', 'Check');
  const check = (service: string) =>
    new Promise<unknown>((resolve) => {
      const answer = (error: unknown, found?: object) => resolve(error ?? found);
      client.makeUnaryRequest(method.path, method.requestSerialize, method.responseDeserialize, { service }, answer);
    });
  expect(await check('')).toEqual({ status: 'SERVING' });
  expect(await check(NAME)).toEqual({ status: 'SERVING' });
  expect(await check('gladhand.other')).toMatchObject({ code: status.NOT_FOUND });
});

test('a health watcher is told NOT_SERVING before the server goes, and cannot hold it up', async () => {
  const { feed, clock } = await openHarness(createArrayStore().reader);
  const { client, method } = connect(feed.port, healthProto, 'grpc.health.v1.Health', 'Watch');
  const { path, requestSerialize, responseDeserialize } = method;
  const watch = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { service: NAME });
  watch.on('error', () => {});
  const ended = new Promise((resolve) => watch.on('status', resolve));
  expect(await once(watch, 'data')).toEqual([{ status: 'SERVING' }]);
  const closing = feed.close();
  expect(await once(watch, 'data')).toEqual([{ status: 'NOT_SERVING' }]);
  clock.advance(1_500);
  await closing;
  await ended;
});

test('reflection lists the services and describes LiveFeed down to the record', async () => {
  const { feed } = await openHarness(createArrayStore().reader);
  const stream = openReflection(feed.port);
  const ask = async (request: object) => {
    stream.write(request);
    return (await once(stream, 'data'))[0];
  };
  const { listServicesResponse } = (await ask({ listServices: '*' })) as {
    listServicesResponse: { service: { name: string }[] };
  };
  expect(listServicesResponse.service.map(({ name }) => name)).toContain(NAME);
  const { fileDescriptorResponse } = (await ask({ fileContainingSymbol: NAME })) as {
    fileDescriptorResponse: { fileDescriptorProto: Buffer[] };
  };
  const files = fileDescriptorResponse.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
  expect(files.map(({ name }) => name).sort()).toEqual([
    'gladhand/livefeed/v1/livefeed.proto',
    'gladhand/livefeed/v1/record.proto',
    'google/protobuf/struct.proto',
    'google/protobuf/timestamp.proto',
  ]);
  stream.end();
});

test('a client that floods the reflection service is stopped', async () => {
  const { feed } = await openHarness(createArrayStore().reader);
  const stream = openReflection(feed.port);
  stream.on('error', () => {}).on('data', () => {});
  const ended = new Promise<StatusObject>((resolve) => stream.on('status', resolve));
  for (let asked = 0; asked < 300; asked += 1) stream.write({ fileContainingSymbol: NAME });
  expect(await ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
});
