import etag from '@fastify/etag';
import fp from 'fastify-plugin';

/** Pages that browsers keep and ask about each time: 304 while they are the same, the new one right after an upgrade. */
export const cachedPages = fp(async (http) => {
  await http.register(etag);
  http.addHook('onSend', async (_request, reply) => {
    if (reply.statusCode < 400) reply.header('cache-control', 'no-cache');
  });
});
