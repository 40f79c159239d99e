import { join } from 'node:path';
import type { Config } from '../config.ts';

/** Where the products stand that come with the server. */
export const PRODUCTS_DIRECTORY = join(import.meta.dirname, '..', '..', 'products');

/** Where this installation's products stand: those that come with the server, and its own. */
export function productDirectories({ products }: Pick<Config, 'products'>): string[] {
  return [PRODUCTS_DIRECTORY, ...(products.directory === '' ? [] : [products.directory])];
}
