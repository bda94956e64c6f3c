import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { webImage } from '../integration/support/images.ts';
import { dockerAt, sharedSocket } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { ask } from '../support/load.ts';
import { run } from '../support/processes.ts';
import { readFileSync } from 'node:fs';
import { webApp } from '../support/templates.ts';

let fleet: Fleet;
let image: string;
beforeAll(async () => {
  image = await webImage(dockerAt(sharedSocket()));
  fleet = await startFleet();
  await fleet.addAgent();
  await fleet.apply('shop', webApp({ image }));
  await fleet.create('acme', 'shop');
});
afterAll(() => fleet?.close());

const EVIL = [
  'a; return 200 pwned;',
  'a}\nserver { listen 1; }',
  '$(touch /tmp/pwned)',
  '`id`',
  "a' || true",
  'a"b',
  '../../etc/passwd',
  'a\u0000b',
  '"; add rule inet filter input accept; "',
  '{ 1.2.3.4 : 5.6.7.8 }',
  '-rf',
  '--privileged',
  'a b',
  'ä',
  'A'.repeat(300),
  '',
  '*',
  '.',
  '~^.*$',
];

/** The raw answer to a raw body: what the typed client would never send. */
async function send(method: string, path: string, body: unknown): Promise<{ status: number; text: string }> {
  const token = readFileSync(join(fleet.dir, 'admin-token'), 'utf8').trim();
  const response = await fetch(`${fleet.coordinator.url()}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text() };
}

async function expectHostWhole(): Promise<void> {
  const agent = fleet.agents[0];
  if (agent === undefined) throw new Error('no agent');
  const dir = join(agent.stateDir, 'nginx');
  await run('nginx', ['-t', '-q', '-p', `${dir}/`, '-e', 'stderr', '-c', join(dir, 'nginx.conf')]);
  for (const file of ['static.nft', 'routes.nft'])
    await run('nft', ['-c', '-f', join(agent.stateDir, 'network', file)]);
  expect(readFileSync(join(dir, 'nginx.conf'), 'utf8')).not.toContain('pwned');
  expect((await ask(fleet.place('acme'))).status).toBe(200);
}

describe('what tries to get into Nginx, nft, Docker or a path', () => {
  test('is refused as the name of a tenant or an app, with a sentence and no trace', async () => {
    for (const name of EVIL) {
      const tenant = await send('POST', '/tenants', { tenant: name, app: 'shop', domains: ['x.test'] });
      expect(tenant.status, name).toBe(400);
      const app = await send('POST', '/tenants', { tenant: 'x', app: name, domains: ['x.test'] });
      expect(app.status, name).toBe(400);
    }
    expect((await fleet.api().listTenants({ query: {} })).items.map((each) => each.tenant)).toEqual(['acme']);
    await expectHostWhole();
  });

  test('is refused as a domain, in a new tenant and in a change', async () => {
    for (const domain of [
      ...EVIL,
      'x.test;',
      'x.test:80',
      'http://x.test',
      '*.x.test',
      'x..test',
      '-x.test',
    ]) {
      const made = await send('POST', '/tenants', { tenant: 'x', app: 'shop', domains: [domain] });
      expect(made.status, domain).toBe(400);
      const changed = await send('PATCH', '/tenants/acme', { domains: [domain] });
      expect(changed.status, domain).toBe(400);
    }
    await expectHostWhole();
  });

  test('is refused in the paths, names and labels of a template, with the line', async () => {
    const parts: ((value: string) => string)[] = [
      (value) =>
        `services: { web: { image: "${image}", x-berth: { route: { port: 8080, path: ${value} } } } }`,
      (value) =>
        `services: { web: { image: "${image}", x-berth: { route: { port: 8080, health: ${value} } } } }`,
      (value) =>
        `services: { web: { image: "${image}", x-berth: { route: { port: 8080, subdomain: ${value} } } } }`,
      (value) => `services: { ${value}: { image: "${image}" } }`,
      (value) =>
        `services: { web: { image: "${image}", volumes: [${JSON.stringify(`${value.slice(1, -1)}:/data`)}] } }`,
    ];
    const values = ['/a;return 200', '/{', '/$$uri', '/a b', '"', "'", '/\n', 'a;b', '$(id)', '`x`'];
    for (const part of parts)
      for (const value of values) {
        const compose = part(JSON.stringify(value));
        const answer = await send('PUT', '/apps/evil', { compose });
        expect(answer.status, compose).toBe(422);
        expect(answer.text).toMatch(/compose\.yaml:\d+/);
      }
    await expectHostWhole();
  });

  test('is only text as the value of a variable', async () => {
    const Echo = z.string();
    for (const value of [
      '$(id)',
      '`id`',
      '"; exit 1; "',
      "'",
      '\\',
      '${HOME}',
      '$$',
      'a\nb',
      '{{.}}',
      '%s%n',
      '; reboot',
    ]) {
      const changed = await send('PATCH', '/tenants/acme', { variables: { NOTE: value } });
      expect([200, 202, 400]).toContain(changed.status);
    }
    const shown = await fleet.api().tenantConfig({ params: { tenant: 'acme' } });
    expect(Echo.parse(shown.values.find((each) => each.name === 'NOTE')?.value)).toBe('; reboot');
    const hostile = "\"; return 200 'pwned'; # $(id) ${HOME} $$";
    await fleet.apply('echo', webApp({ image, command: '["sh", "-c", "serve"]' }));
    await fleet.create('echo', 'echo', { variables: { VERSION: 'plain', MEMORY: '8M' } });
    const bad = await send('PATCH', '/tenants/echo', { variables: { HEALTH: hostile } });
    expect(bad.status).toBe(422);
    const memory = await send('PATCH', '/tenants/echo', { variables: { MEMORY: '8M, privileged: true' } });
    expect(memory.status).toBe(422);
    await expectHostWhole();
  });

  test('is refused with its line, or is only text, in every other field of a template', async () => {
    const values = [
      ...EVIL,
      '\u001b[2J\u001b]0;pwned\u0007',
      'a\r\nb',
      '\u202e\u2028',
      '169.254.169.254/32; accept',
      '/data,exec,suid',
      '{{.Config.Env}}',
    ];
    const json = JSON.stringify;
    const fields: Record<string, (value: string) => string> = {
      label: (value) => `labels: { x: ${json(value)} }`,
      'name of a label': (value) => `labels: { ${json(value)}: x }`,
      variable: (value) => `environment: { X: ${json(value)} }`,
      'name of a variable': (value) => `environment: { ${json(value)}: x }`,
      argument: (value) => `command: ["sleep", ${json(value)}]`,
      'log option': (value) => `logging: { driver: json-file, options: { tag: ${json(value)} } }`,
      'name of a log option': (value) => `logging: { driver: json-file, options: { ${json(value)}: x } }`,
      'log driver': (value) => `logging: { driver: ${json(value)} }`,
      hostname: (value) => `hostname: ${json(value)}`,
      user: (value) => `user: ${json(value)}`,
      'working directory': (value) => `working_dir: ${json(value)}`,
      tmpfs: (value) => `tmpfs: [${json(value)}]`,
      'extra host': (value) => `extra_hosts: [${json(`${value}:10.0.0.1`)}]`,
      'address of an extra host': (value) => `extra_hosts: [${json(`db:${value}`)}]`,
      sysctl: (value) => `sysctls: { ${json(value)}: "1" }`,
      'stop signal': (value) => `stop_signal: ${json(value)}`,
      'health check': (value) => `healthcheck: { test: ["CMD", ${json(value)}] }`,
      egress: (value) => `x-berth: { egress: [${json(value)}] }`,
    };
    for (const [what, field] of Object.entries(fields))
      for (const value of values) {
        const written = field(value.replaceAll('$', '$$'));
        const compose = `services:\n  web:\n    image: ${json(image)}\n    ${written}\n`;
        const answer = await send('PUT', '/apps/evil', { compose });
        expect([200, 201, 400, 422], `${what}: ${json(value)} ${answer.text}`).toContain(answer.status);
        if (answer.status === 422) expect(answer.text, what).toMatch(/compose\.yaml:\d+/);
        // Nobody's terminal is written to by somebody else's template.
        expect(answer.text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f]/);
      }
    for (const value of [...EVIL, '169.254.169.254/32', '::/0', '10.0.0.0/8\n', '10.0.0.1/8'])
      for (const egress of [value, [value]])
        expect((await send('PATCH', '/tenants/acme', { egress })).status, json(egress)).toBe(
          value === '169.254.169.254/32' && Array.isArray(egress) ? 202 : 400,
        );
    expect((await send('PATCH', '/tenants/acme', { egress: null })).status).toBe(202);
    await expectHostWhole();
  });

  test('is only text in a tenant that runs with it', async () => {
    const json = JSON.stringify;
    const words = EVIL.filter((word) => !word.includes('\u0000')).map((word) => word.replaceAll('$', '$$'));
    const compose = webApp({ image }).replace(
      '    stop_signal: SIGQUIT',
      `    labels: { ${words.map((word, n) => `x.${n}: ${json(word)}`).join(', ')} }\n    stop_signal: SIGQUIT`,
    );
    await fleet.apply('odd', compose);
    await fleet.create('odd', 'odd');
    const [web] = await fleet.containers('odd');
    const seen = await dockerAt(sharedSocket())
      .getContainer(web?.id ?? '')
      .inspect();
    for (const [n, word] of EVIL.filter((each) => !each.includes('\u0000')).entries())
      expect(seen.Config.Labels[`x.${n}`]).toBe(word);
    expect(seen.HostConfig.Privileged).toBe(false);
    expect((await ask(fleet.place('odd'))).status).toBe(200);
    await expectHostWhole();
  });

  test('gets 421 as a Host header, and never another tenant’s answer', async () => {
    for (const domain of [
      'acme.test.',
      'ACME.TEST',
      'acme.test:80',
      'nobody.test',
      '_',
      'localhost',
      '127.0.0.1',
    ]) {
      const answer = await ask({ ...fleet.place('acme'), domain });
      expect([200, 400, 421], domain).toContain(answer.status);
      if (!domain.toLowerCase().startsWith('acme.test')) expect(answer.status, domain).toBe(421);
    }
  });
});
