import { existsSync } from 'node:fs';
import { chromium, type Page } from 'playwright-core';
import { expect, onTestFinished, test } from 'vitest';
import { openApiDocument } from '../../src/app/openapi.ts';
import type { ApiDocument } from '../api-contract.ts';
import { openTestApp } from '../app.ts';

/** The reference pages in a real browser. Debian has it as `chromium`; without it these tests are skipped. */
const CHROMIUM = process.env['GLADHAND_TEST_CHROMIUM'] ?? '/usr/bin/chromium';
const isThere = existsSync(CHROMIUM);
if (!isThere) console.warn(`SKIPPED: the tests of /docs need a browser, and there is none at ${CHROMIUM}`);

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

interface Seen {
  readonly page: Page;
  readonly requests: string[];
  readonly complaints: string[];
}

async function openPage(): Promise<Seen> {
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
  return { page, requests, complaints };
}

test.skipIf(!isThere)(
  '/docs shows every operation with nothing but this server, and the console stays empty',
  async () => {
    const { base } = await openTestApp();
    const document = (await openApiDocument()) as ApiDocument;
    const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
    const missing: string[] = [];
    const { page, requests, complaints } = await openPage();
    const answer = await page.goto(`${base}/docs`);
    expect(answer?.headers()['content-security-policy']).toContain("default-src 'none'");
    expect(await page.title()).toBe('Gladhand API');
    // A group is drawn when it is opened.
    const button = (does: string, tag: string) =>
      page.getByRole('button', { name: `${does} Group - ${tag}`, exact: true });
    for (const tag of new Set(operations.map(({ tags }) => tags[0]!))) {
      await button('Open', tag).or(button('Close', tag)).first().waitFor();
      if ((await button('Open', tag).count()) > 0) await button('Open', tag).first().click();
      await button('Close', tag).first().waitFor();
    }
    for (const { tags, summary } of operations)
      await page
        .getByText(summary)
        .first()
        .waitFor({ state: 'attached', timeout: 20_000 })
        .catch(() => missing.push(`${tags[0]}: ${summary}`));
    expect(missing).toEqual([]);
    // What else the page asks for, it has asked by the time it has drawn all of this; an answer is not waited for, and
    // what would reach out is refused by its policy and complained of.
    expect(
      requests
        .map((url) => new URL(url))
        .filter(({ protocol, origin }) => protocol !== 'data:' && protocol !== 'blob:' && origin !== base),
    ).toEqual([]);
    expect(requests).toContain(`${base}/openapi.json`);
    expect(complaints).toEqual([]);
  },
);

test.skipIf(!isThere)('the pages may not reach out, even if they tried', async () => {
  const { base } = await openTestApp();
  const { page, complaints } = await openPage();
  await page.goto(`${base}/docs`);
  const outcome = await page.evaluate(() =>
    fetch('http://127.0.0.2:9/').then(
      () => 'reached',
      () => 'refused',
    ),
  );
  expect(outcome).toBe('refused');
  expect(complaints.join()).toContain('Content Security Policy');
});
