import { existsSync } from 'node:fs';
import { chromium, type Page } from 'playwright-core';
import { onTestFinished } from 'vitest';

/** Our pages in a real browser. Debian has it as `chromium`; without it these tests are skipped, and say so. */
const CHROMIUM = process.env['GLADHAND_TEST_CHROMIUM'] ?? '/usr/bin/chromium';
export const hasBrowser = existsSync(CHROMIUM);
if (!hasBrowser) console.warn(`SKIPPED: the tests of pages need a browser, and there is none at ${CHROMIUM}`);

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export interface Seen {
  readonly page: Page;
  readonly requests: string[];
  /** Errors and warnings of the console, and what scripts threw. */
  readonly complaints: string[];
  /** Requests to anywhere but `base`. */
  readonly outside: (base: string) => string[];
}

export async function openPage(): Promise<Seen> {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  onTestFinished(() => browser.close());
  const page = await browser.newPage();
  const requests: string[] = [];
  const complaints: string[] = [];
  page.on('request', (request) => requests.push(request.url()));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  const outside = (base: string) =>
    requests.filter((url) => !url.startsWith('data:') && !url.startsWith('blob:') && new URL(url).origin !== base);
  return { page, requests, complaints, outside };
}
