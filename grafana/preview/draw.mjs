// node draw.mjs --prometheus URL --out FOLDER [--theme light] [--width 1600] [--height 900]
//               [--from MS --to MS] [--whole] [--var queue=media] DASHBOARD.json…
// Draws each dashboard into FOLDER/<its uid>.png: the first screen, or with --whole all of it.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { serve } from './serve.mjs';

const SETTLE_MILLISECONDS = 700;
const DRAWN_WITHIN_MILLISECONDS = 60_000;
// Without these Chromium looks for updates, and as root it does not start.
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
  '--disable-background-networking', '--disable-component-update',
];
const PROGRAMS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

const { values: options, positionals: dashboards } = parseArgs({
  allowPositionals: true,
  options: {
    prometheus: { type: 'string' },
    out: { type: 'string' },
    name: { type: 'string' },
    theme: { type: 'string', default: 'dark' },
    width: { type: 'string', default: '1600' },
    height: { type: 'string', default: '900' },
    from: { type: 'string' },
    to: { type: 'string' },
    whole: { type: 'boolean', default: false },
    var: { type: 'string', multiple: true, default: [] },
  },
});

function addressOf(url) {
  const query = new URLSearchParams({ theme: options.theme });
  for (const bound of ['from', 'to']) if (options[bound]) query.set(bound, options[bound]);
  for (const choice of options.var) query.set(`var-${choice.split('=')[0]}`, choice.split('=')[1]);
  return `${url}?${query}`;
}

async function draw(page, server, dashboard) {
  const size = { width: Number(options.width), height: Number(options.height) };
  server.served.dashboard = dashboard;
  await page.setViewportSize(size);
  await page.goto(addressOf(server.url));
  await page.waitForFunction(() => window.isDrawn, null, { timeout: DRAWN_WITHIN_MILLISECONDS });
  if (options.whole) {
    // What is below the screen is drawn only once it is on it.
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    await page.setViewportSize({ ...size, height });
    await page.waitForTimeout(SETTLE_MILLISECONDS);
  }
  const out = path.join(options.out, `${options.name ?? path.basename(dashboard, '.json')}.png`);
  await page.screenshot({ path: out });
  console.log(out);
}

const server = await serve(options.prometheus);
const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'celeriac-preview-'));
const executablePath = process.env.CHROMIUM ?? PROGRAMS.find((program) => fs.existsSync(program));
const browser = await chromium.launchPersistentContext(profile, { executablePath, args: FLAGS });
try {
  const [page] = browser.pages();
  let complaints = 0;
  page.on('console', (message) => {
    const isMissingIcon = message.location().url.includes('/img/icons/');
    if (message.type() === 'error' && !isMissingIcon) console.error(message.text(), message.location().url, complaints += 1);
  });
  page.on('pageerror', (error) => console.error(error.stack, complaints += 1));
  fs.mkdirSync(options.out, { recursive: true });
  for (const dashboard of dashboards) await draw(page, server, dashboard);
  process.exitCode = complaints ? 1 : 0;
} finally {
  await browser.close();
  server.close();
  fs.rmSync(profile, { recursive: true, force: true });
}
