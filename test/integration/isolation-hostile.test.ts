import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { resolversIn } from '@berth/agent/execute/network/resolvers';
import { egressIn } from '@berth/agent/execute/network/egress-rules';
import { bridgesIn, staticFile } from '@berth/agent/execute/network/static-table';
import { containerBody } from '@berth/agent/execute/docker/container-body';
import { emitNginx } from '@berth/agent/execute/nginx/emit';
import { runCommand } from '@berth/agent/system/command';
import { routesFile, withTarget } from '@berth/agent/system/nft-routes';
import { parseVersion } from '@berth/agent/system/nginx-version';
import { BerthError } from '@berth/shared/domain/errors';
import { egressFrom } from '@berth/shared/domain/egress';
import type { Site } from '@berth/shared/domain/network';
import { createTestHost, type TestHost } from './support/host.ts';
import { busyboxImage } from './support/images.ts';

/** Text that wants to be more than text, in whatever reaches nft, Nginx and Docker: judged by those programs themselves. */

const NASTY = [
  '; return 200 pwned;',
  '}\nserver { listen 1; }',
  '" ; accept ; "',
  "' || true",
  '$(id)',
  '`id`',
  '${HOME}$$',
  '\u001b[2J\u001b]0;pwned\u0007',
  'a\r\nb',
  '\u2028\u202e',
  'ä ß 你',
  '{ 0.0.0.0/0 : jump x }',
  '# pwned',
  '../../etc/passwd',
  '-rf --privileged',
  '@routes',
  '*',
  '\\',
  '%s%n{{.ID}}',
];
const nasty = fc.oneof(
  fc.constantFrom(...NASTY),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.tuple(fc.stringMatching(/^[a-z0-9.]{0,12}$/), fc.constantFrom(...NASTY)).map((parts) => parts.join('')),
);
const config = {
  agent: 'xth',
  virtualCidr: '198.18.64.0/20',
  tenantCidr: '198.19.64.0/20',
  bridgePrefix: 'xth-',
};

async function nftAccepts(text: string): Promise<void> {
  const { code, stderr } = await runCommand('nft', ['-c', '-f', '-'], { input: text });
  expect(code, `${stderr}\n${text}`).toBe(0);
}

describe('nft', () => {
  const number = fc.integer({ min: 0, max: 255 });
  const range = fc.tuple(number, number, number, fc.integer({ min: 0, max: 24 })).map(([a, b, c, prefix]) => {
    const value = Math.floor(((a * 256 + b) * 256 + c) / 2 ** Math.max(0, 24 - prefix));
    const base = value * 2 ** Math.max(0, 24 - prefix);
    return `${base >>> 16}.${(base >>> 8) & 255}.${base & 255}.0/${prefix}`;
  });
  const policy = fc.oneof(
    fc.constantFrom('none', 'public'),
    fc.array(range, { minLength: 1, maxLength: 12 }).map((ranges) => ranges.join(',')),
    nasty,
  );
  const bridge = fc.stringMatching(/^[a-z0-9]{1,6}$/).map((name) => `xth-${name}`);

  test('takes every table that is made of what was read, whatever that was read from', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.oneof(bridge, nasty), policy), { maxLength: 8 }),
        fc.array(fc.oneof(nasty, fc.ipV4(), fc.ipV6()), { maxLength: 4 }),
        nasty,
        async (tenants, servers, torn) => {
          // A boot file as somebody else might have left it, and a resolv.conf of the same kind.
          const file = tenants
            .map(([name, words]) => `"${name}" . "${name}"\n# egress ${name} ${words}\n`)
            .join(torn);
          const bridges = bridgesIn(file, config.bridgePrefix);
          const resolvers = resolversIn(servers.map((each) => `nameserver ${each}\n`).join(''), config);
          const egress = egressIn(file, config.bridgePrefix);
          for (const name of [...bridges, ...egress.keys()])
            expect(name).toMatch(/^xth-[a-zA-Z0-9_.-]{1,11}$/);
          const text = staticFile(config, { bridges, egress, resolvers });
          await nftAccepts(text);
          expect(text.replaceAll(/[ -~\n]/g, '')).toBe('');
          // It is read back as what it was made of.
          expect(bridgesIn(text, config.bridgePrefix)).toEqual(bridges);
          expect([...egressIn(text, config.bridgePrefix).keys()].sort()).toEqual([...egress.keys()].sort());
        },
      ),
      { numRuns: 60 },
    );
  });

  test('takes every policy that a person can get past the parser', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(policy, nasty), async (words) => {
        const egress = egressFrom(words);
        if (egress === null) return;
        await nftAccepts(
          staticFile(config, { bridges: ['xth-0'], egress: new Map([['xth-0', egress]]), resolvers: [] }),
        );
      }),
      { numRuns: 80 },
    );
  });

  test('takes every set of routes', async () => {
    const entry = fc.record({
      virtual: fc.ipV4(),
      address: fc.ipV4(),
      port: fc.integer({ min: 1, max: 65_535 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 20 }), async (entries) => {
        const empty = { present: true, single: new Map(), spread: new Map() };
        const made = withTarget(
          empty,
          entries.map(({ virtual, address, port }, index) => ({
            virtual,
            target: {
              kind: 'containers' as const,
              endpoints:
                index % 2 === 0
                  ? [{ address, port }]
                  : [
                      { address, port },
                      { address, port: 1 },
                    ],
            },
          })),
          {
            maintenance: { address: '127.0.0.1', port: 1 },
            unrouted: { address: '127.0.0.4', port: 1 },
          },
        );
        await nftAccepts(routesFile('berth_xth', made));
      }),
      { numRuns: 30 },
    );
  });
});

describe('Nginx', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'berth-hostile-'));
    for (const folder of ['tmp', 'requests']) mkdirSync(join(dir, folder));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  test('takes every configuration that is made, and no text of a user stands in one', async () => {
    const version = parseVersion((await runCommand('nginx', ['-v'])).stderr) ?? [1, 22, 0];
    const good = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?$/);
    const host = fc.oneof({ weight: 4, arbitrary: good.map((name) => `${name}.example`) }, nasty);
    const path = fc.oneof({ weight: 4, arbitrary: fc.constantFrom('/', '/api', '/a.b~c/d-e_f') }, nasty);
    const site: fc.Arbitrary<Site> = fc.record({
      tenant: fc.oneof(good, nasty),
      service: fc.oneof(good, nasty),
      hosts: fc.uniqueArray(host, { minLength: 1, maxLength: 3 }),
      path,
      virtual: fc.oneof({ weight: 9, arbitrary: fc.nat(255).map((n) => `198.18.64.${n}`) }, nasty),
    });
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(site, { maxLength: 3 }), async (sites) => {
        let text: string;
        try {
          text = emitNginx(sites, {
            listenAddress: '127.0.0.1',
            httpPort: 21_990,
            internalPort: 21_991,
            user: null,
            version,
            temporary: 'own',
            digest: 'd',
          });
        } catch (thrown) {
          if (!(thrown instanceof BerthError)) throw thrown;
          expect(thrown.code).toBe('ingress_invalid');
          return;
        }
        taken += 1;
        expect(text.replaceAll(/[ -~\n]/g, '')).toBe('');
        expect(text).not.toContain('pwned');
        const file = join(dir, 'nginx.conf');
        writeFileSync(file, text);
        const { code, stderr } = await runCommand('nginx', [
          '-t',
          '-q',
          '-p',
          `${dir}/`,
          '-e',
          'stderr',
          '-c',
          file,
        ]);
        expect(code, stderr).toBe(0);
      }),
      { numRuns: 120 },
    );
    expect(taken).toBeGreaterThan(10);
  });
});

describe('Docker', () => {
  let host: TestHost;
  let image: string;
  beforeAll(async () => {
    host = await createTestHost();
    image = await busyboxImage(host.docker);
    await host.executor.ensureNetworkBase();
  });
  afterAll(() => host?.close());

  test('gets text as text: nothing of a label, a variable or an argument is more than that', async () => {
    const network = host.network(0, 'acme');
    const made = await host.run({ kind: 'network.ensure', tenant: 'acme', network });
    expect(made.kind).toBe('ok');
    const texts = NASTY.filter((text) => !text.includes('\0'));
    const labels = Object.fromEntries([
      ...texts.map((text, n) => [`x.${n}`, text] as const),
      ...texts.map((text) => [`k${text}`, 'v'] as const),
      ['berth.tenant', 'globex'],
      ['berth.agent', 'other'],
      ['berth.role', 'release'],
    ]);
    const environment = Object.fromEntries(texts.map((text, n) => [`N${n}`, text]));
    const plan = host.plan({
      tenant: 'acme',
      network,
      host: 9,
      image,
      spec: { labels, environment, command: ['sh', '-c', 'sleep 100', ...texts] },
    });
    const started = await host.run({
      kind: 'containers.start',
      tenant: 'acme',
      generation: 1,
      containers: [plan],
    });
    expect(started).toEqual({ kind: 'ok' });
    const seen = await host.docker.getContainer(plan.name).inspect();
    for (const [n, text] of texts.entries()) {
      expect(seen.Config.Labels[`x.${n}`]).toBe(text);
      expect(seen.Config.Env).toContain(`N${n}=${text}`);
    }
    expect(seen.Config.Cmd?.slice(3)).toEqual(texts);
    // What is ours is not the template's to say.
    expect(seen.Config.Labels).toMatchObject({
      'berth.tenant': 'acme',
      'berth.agent': host.config.agent,
      'berth.role': 'colour',
    });
    expect(seen.HostConfig.Privileged).toBe(false);
    expect(seen.HostConfig.Binds ?? []).toEqual([]);
    const { containers } = await host.observer.observe(AbortSignal.timeout(10_000));
    expect(containers.map((each) => each.tenant)).toEqual(['acme']);
  });

  test('is told in JSON, from which no text can break out', () => {
    fc.assert(
      fc.property(fc.dictionary(nasty, nasty), fc.array(nasty), (values, words) => {
        const network = host.network(0, 'acme');
        const plan = host.plan({
          tenant: 'acme',
          network,
          host: 9,
          image,
          spec: { labels: values, environment: values, command: words },
        });
        const body: unknown = JSON.parse(JSON.stringify(containerBody(host.config.agent, plan)));
        expect(body).toMatchObject({
          Cmd: words,
          Labels: { 'berth.tenant': 'acme' },
          HostConfig: { Privileged: false, CapDrop: ['ALL'], NetworkMode: network.name },
        });
      }),
    );
  });
});
