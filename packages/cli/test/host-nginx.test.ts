import { expect, test } from 'vitest';
import type { Host } from '@berth/shared/api/schemas';
import { nginxText } from '../src/commands/host-nginx.ts';
import { styleOf } from '../src/output/style.ts';
import { fakeApi } from './support/fake-api.ts';
import { run } from './support/run.ts';

const style = styleOf('on');
const report = (nginx: 'up' | 'down', orphans: string[] = []): NonNullable<Host['report']> => ({
  memoryTotalBytes: 1,
  memoryAvailableBytes: 1,
  diskTotalBytes: 1,
  diskAvailableBytes: 1,
  cpus: 1,
  docker: 'up',
  nginx,
  containers: 0,
  orphans,
});

test('Nginx of a host that was never asked to run anything is not started, and that is no alarm', () => {
  const fresh = { revision: 0, tenants: 0, report: report('down') };
  expect(nginxText(fresh, style)).toBe(style.dim('not started: no tenant yet'));
  expect(nginxText({ ...fresh, report: report('up') }, style)).toBe(style.green('up'));
});

test('anywhere else an Nginx that does not run is down: with tenants, after them, and with orphans', () => {
  const down = style.red('down');
  expect(nginxText({ revision: 3, tenants: 2, report: report('down') }, style)).toBe(down);
  expect(nginxText({ revision: 3, tenants: 0, report: report('down') }, style)).toBe(down);
  expect(nginxText({ revision: 0, tenants: 1, report: report('down') }, style)).toBe(down);
  expect(nginxText({ revision: 0, tenants: 0, report: report('down', ['acme']) }, style)).toBe(down);
});

test('berth host show says so', async () => {
  const host: Host = {
    host: 'h_0123456789abcdef',
    name: 'web-1',
    pool: 'prod',
    scheduling: 'open',
    connection: 'online',
    lastSeenAt: 1,
    agentVersion: null,
    tenants: 0,
    capacity: { memoryBytes: 1, cpus: 1 },
    reserved: { memoryBytes: 0, cpus: 0 },
    revision: 0,
    ackedRevision: 0,
    ingress: null,
    facts: {},
    report: report('down'),
    createdAt: 1,
  };
  const fake = await fakeApi({ showHost: () => host });
  try {
    const { out } = await run(fake.url, ['host', 'show', host.host]);
    expect(out).toMatch(/nginx +not started: no tenant yet/);
  } finally {
    await fake.close();
  }
});
