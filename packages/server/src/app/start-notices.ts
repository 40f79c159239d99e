import { resolve } from 'node:path';
import type { Clock } from '@gladhand/base/clock.ts';
import { listKeysWithoutProduct } from '../access/product-key-store.ts';
import type { Config } from '../config.ts';
import { findOperator } from '../organizations/store.ts';
import { countAdmins } from '../people/store.ts';
import type { App } from './build.ts';

/** At most this many keys are listed. The others are only counted. */
const KEYS_NAMED_MAX = 20;

/** Notices for the operator after a start. Each says what is wrong and how to fix it. */
export async function readNotices(app: App, config: Config, clock: Clock): Promise<string[]> {
  return [...(await noticeFirstAdmin(app, config)), ...(await noticeKeysWithoutProduct(app, clock))];
}

/** Without an admin, no user can be created over the API. */
async function noticeFirstAdmin({ backends }: App, config: Config): Promise<string[]> {
  const { system } = backends.database;
  const operator = await findOperator(system);
  if (operator !== undefined && (await countAdmins(system, operator.id)) > 0) return [];
  const { directory } = config.data;
  const isElsewhere = config.database.url === '' && resolve(directory) !== resolve('.gladhand');
  const where = isElsewhere ? ` --data-directory ${resolve(directory)}` : '';
  return [
    `Nobody can sign in yet. Create the first admin in a second terminal, with the settings of this server:\nnpm run --silent gladhand -- admin create --email you@example.com --name "Your Name"${where}`,
  ];
}

/** Requests with such a key are refused, because its product was removed from the folder of products. */
async function noticeKeysWithoutProduct({ backends, products }: App, clock: Clock): Promise<string[]> {
  const installed = products.all.map(({ name }) => name);
  const keys = await listKeysWithoutProduct(backends.database.system, installed, new Date(clock.nowMs()));
  if (keys.length === 0) return [];
  const named = keys
    .slice(0, KEYS_NAMED_MAX)
    .map(
      ({ id, name, prefix, organization, product }) =>
        `${product}: ${name} (${prefix}..., id ${id}) of ${organization}`,
    );
  const more = keys.length > named.length ? [`and ${keys.length - named.length} more`] : [];
  return [
    `These keys belong to products that are not installed, so their requests are refused. Install the product again, or revoke the key:\n${[...named, ...more].join('\n')}`,
  ];
}
