import { expect, test } from 'vitest';
import { REPOSITORY, readLibrary } from '../../src/docs/library.ts';
import { openTestApp } from '../app.ts';
import { hasBrowser, openPage } from '../browser.ts';
import { operations } from './operations.ts';

/** The pages of documentation in a real browser. */
test.skipIf(!hasBrowser)(
  'the API reference shows every operation with nothing but this server, and the console stays empty',
  async () => {
    const { base } = await openTestApp();
    const missing: string[] = [];
    const { page, requests, complaints, outside } = await openPage();
    const answer = await page.goto(`${base}/docs/api`);
    expect(answer?.headers()['content-security-policy']).toContain("default-src 'none'");
    expect(await page.title()).toBe('Gladhand API');
    // A group is drawn when it is opened.
    const button = (does: string, tag: string) =>
      page.getByRole('button', { name: `${does} Group - ${tag}`, exact: true });
    for (const tag of new Set(operations.map(({ operation }) => operation.tags[0]!))) {
      await button('Open', tag).or(button('Close', tag)).first().waitFor();
      if ((await button('Open', tag).count()) > 0) await button('Open', tag).first().click();
      await button('Close', tag).first().waitFor();
    }
    for (const { operation } of operations)
      await page
        .getByText(operation.summary)
        .first()
        .waitFor({ state: 'attached', timeout: 20_000 })
        .catch(() => missing.push(`${operation.tags[0]}: ${operation.summary}`));
    expect(missing).toEqual([]);
    // What else the page asks for, it has asked by the time it has drawn all of this; an answer is not waited for, and
    // what would reach out is refused by its policy and complained of.
    expect(outside(base)).toEqual([]);
    expect(requests).toContain(`${base}/openapi.json`);
    expect(complaints).toEqual([]);
  },
);

test.skipIf(!hasBrowser)('no page may reach out, even if it tried', async () => {
  const { base } = await openTestApp();
  for (const path of ['/', '/docs', '/docs/api', '/docs/product']) {
    const { page, complaints } = await openPage();
    await page.goto(base + path);
    const outcome = await page.evaluate(() =>
      fetch('http://127.0.0.2:9/').then(
        () => 'reached',
        () => 'refused',
      ),
    );
    expect(outcome, path).toBe('refused');
    expect(complaints.join(), path).toContain('Content Security Policy');
  }
});

test.skipIf(!hasBrowser)(
  'every guide is drawn without a word in the console and with nothing from elsewhere',
  async () => {
    const { base } = await openTestApp();
    const { page, complaints, outside } = await openPage();
    const { guides } = readLibrary(REPOSITORY);
    expect(guides.length).toBeGreaterThan(10);
    for (const path of ['/', '/docs', '/docs/product', ...guides.map(({ name }) => `/docs/guides/${name}`)]) {
      expect((await page.goto(base + path))?.status(), path).toBe(200);
      expect(await page.locator('h1').count(), path).toBe(1);
      // The stylesheet of our own was taken.
      expect(await page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth"), path).toBe('896px');
      const isWider = await page.evaluate('document.documentElement.scrollWidth > innerWidth');
      expect(isWider, `${path} is wider than the window`).toBe(false);
    }
    expect(outside(base)).toEqual([]);
    expect(complaints).toEqual([]);
  },
);

test.skipIf(!hasBrowser)(
  'a partner sees its product and a fresh example for its key, which is left nowhere',
  async () => {
    const { base, issueKey, operatorId } = await openTestApp();
    const key = await issueKey(operatorId, 'partner', ['telemetry:write', 'product:project44']);
    const { page, requests, complaints, outside } = await openPage();
    await page.goto(`${base}/docs/product`);
    await page.fill('#key', key);
    await page.fill('#vin', '1uyvs2535r3118640');
    await page.click('button');
    await page.getByRole('heading', { name: 'project44 telematics push server' }).waitFor();
    const [example, curl, schema] = await page.locator('pre').allTextContents();
    const [record] = JSON.parse(example!);
    expect(record.vin).toBe('1UYVS2535R3118640');
    expect(Math.abs(Date.now() - record.timestamp)).toBeLessThan(3_600_000);
    expect(JSON.parse(schema!)).toMatchObject({ type: 'array', minItems: 1 });
    expect(curl).toContain(`${base}/api/v1/telemetry/intake/1UYVS2535R3118640`);

    const kept = await page.evaluate('[localStorage.length, sessionStorage.length, document.cookie]');
    expect(kept).toEqual([0, 0, '']);
    expect(await page.inputValue('#key')).toBe('');
    expect(await page.content()).not.toContain(key);
    expect([page.url(), ...requests].join()).not.toContain(key);
    expect(outside(base)).toEqual([]);
    expect(complaints).toEqual([]);

    await page.fill('#key', `${key.slice(0, -1)}${key.endsWith('a') ? 'b' : 'a'}`);
    await page.click('button');
    await page.getByRole('alert').filter({ hasText: 'This is not a partner API key' }).waitFor();
    expect(await page.locator('pre').count()).toBe(0);
  },
);

test.skipIf(!hasBrowser)('the links of the time when the API reference stood at /docs still lead into it', async () => {
  const { base } = await openTestApp();
  const { page } = await openPage();
  await page.goto(`${base}/docs#tag/fleets`);
  await page.waitForURL(`${base}/docs/api/#tag/fleets`);
});
