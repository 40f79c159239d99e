import type pg from 'pg';
import { OWNER } from './cluster.ts';
import { SOCKET_PORT } from './cluster-home.ts';

export const DATABASE = 'gladhand';

/** How the embedded PostgreSQL is reached: through the socket in its private folder, as the owner of the schema. */
export function embeddedConnection(socketFolder: string, password: string): pg.ClientConfig {
  return { host: socketFolder, port: SOCKET_PORT, user: OWNER, password, database: DATABASE, ssl: false };
}
