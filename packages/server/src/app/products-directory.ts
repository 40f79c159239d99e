import { join } from 'node:path';

/** Where the products stand that come with the server. */
export const PRODUCTS_DIRECTORY = join(import.meta.dirname, '..', '..', 'products');
