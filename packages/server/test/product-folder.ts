import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A folder of products of the test's own, gone when it ends. */
export interface ProductsFolder {
  readonly directory: string;
  /** Writes a file, by its path below the folder. */
  write(file: string, text: string): void;
  remove(file: string): void;
}

export function makeProductsFolder(): ProductsFolder {
  const directory = mkdtempSync(join(tmpdir(), 'gladhand-products-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return {
    directory,
    write(file, text) {
      mkdirSync(dirname(join(directory, file)), { recursive: true });
      writeFileSync(join(directory, file), text);
    },
    remove: (file) => rmSync(join(directory, file), { recursive: true }),
  };
}

/** The product.yaml of a yard gate; `versions` are the states of versions 1, 2, ... */
export function gateProduct(name: string, ...states: readonly string[]): string {
  return `format: gladhand.product/v1
name: ${name}
title: Yard gate
partnerId: acme
vinCheck: mark
intakeLimit: { limit: 60, windowSeconds: 60 }
clockSkew: { pastSecondsMax: 86400, futureSecondsMax: 60 }
versions: [${states.map((state, at) => `{ version: ${at + 1}, state: ${state} }`).join(', ')}]
inputSchema: { type: object, required: [t], properties: { t: { type: integer } } }
`;
}

/** A mapping of \`{"t": <s>, "mph": <number>}\`, which takes the number for one of \`unit\`. */
export function gateMapping(unit = '[mi_i]/h'): string {
  return `format: gladhand.mapping/v1
records:
  - observedAt: { value: payload.t, format: epoch-s }
    signals:
      gps.speedKph: { value: payload.mph, unit: "${unit}" }
`;
}
