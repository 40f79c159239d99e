import { join } from 'node:path';
import type { Config } from '../config.ts';

/** The folder of the built-in products. */
export const PRODUCTS_DIRECTORY = join(import.meta.dirname, '..', '..', 'products');

/** The folders of this installation's products: the built-in ones, and its own if configured. */
export function productDirectories({ products }: Pick<Config, 'products'>): string[] {
  return [PRODUCTS_DIRECTORY, ...(products.directory === '' ? [] : [products.directory])];
}
