import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { renderTenant } from '../../src/compose/render.ts';
import { signableOf } from '../../src/compose/signable.ts';
import {
  boundPart,
  PublicKey,
  readPublicKey,
  type ReleaseSignature,
  signedText,
  signRelease,
  verifyRelease,
  type Signable,
  type SignedEntry,
} from '../../src/domain/signature.ts';
import { Egress } from '../../src/domain/egress.ts';
import type { TenantSpec } from '../../src/domain/spec.ts';
import { templateOf } from '../compose/support.ts';

const pair = generateKeyPairSync('ed25519');
const other = generateKeyPairSync('ed25519');
const keys = [{ name: 'ci-2026', key: pair.publicKey }];
const WEB = `r.example.com/shop@sha256:${'a'.repeat(64)}`;
const DB = `r.example.com/postgres@sha256:${'b'.repeat(64)}`;

const FILE = `name: shop
services:
  web:
    image: shop:\${VERSION}
    command: ["/app/web", "--version=\${VERSION}"]
    entrypoint: ["/init"]
    user: "1000:1000"
    working_dir: /app
    hostname: \${BERTH_TENANT}
    environment:
      DATABASE_URL: postgres://app:\${DB_PASSWORD:?no password}@db/shop
      LEVEL: \${LEVEL:-info}
      OWN:
      STORE: \${BERTH_TENANT}
      FIXED: "1"
      RELEASE: "\${VERSION} of \${BERTH_APP}, \${BERTH_RELEASE}"
    env_file: web.env
    healthcheck: { test: ["CMD", "/app/health"], interval: 2s }
    volumes: ["files:/data"]
    tmpfs: ["/tmp"]
    labels: { tenant: "\${BERTH_TENANT}" }
    deploy: { resources: { limits: { cpus: "\${CPUS:-0.5}", memory: "\${MEMORY:-256M}" } }, replicas: "\${COPIES:-1}" }
    secrets: [token]
    x-berth: { route: { port: 8080 } }
  db:
    image: postgres:16
    environment: ["POSTGRES_PASSWORD=\${DB_PASSWORD}", "PGDATA=/data"]
    x-berth: { profile: compatible }
volumes: { files: {} }
secrets: { token: {} }
x-berth:
  release: { service: web, command: ["/app/migrate"] }
`;
const ENV = { 'web.env': 'FROM_FILE=1\nFROM_TENANT=${REGION}\nBARE\n' };
const template = templateOf(FILE, ENV);

function signed(release = 13, app = 'shop'): Signable {
  const result = signableOf({ app, release, template, set: { VERSION: '2' }, images: { web: WEB, db: DB } });
  if (!result.ok) throw new Error(JSON.stringify(result.errors));
  return result.signable;
}

function signatureOf(signable: Signable, key = pair.privateKey, name = 'ci-2026'): ReleaseSignature {
  return { open: signable.open, by: [{ key: name, value: signRelease(key, signable) }] };
}

/** What the coordinator makes of the release for one tenant. */
function entryOf(variables: Record<string, string> = {}, release = 13): SignedEntry {
  const given = {
    VERSION: '2',
    DB_PASSWORD: 'secret',
    ...variables,
    BERTH_APP: 'shop',
    BERTH_TENANT: 'acme',
    BERTH_DOMAIN: 'acme.example.com',
    BERTH_RELEASE: String(release),
  };
  const secret = { name: 'token', version: 7, id: 'a'.repeat(16), from: 'aws-ssm:/acme/token' };
  const rendered = renderTenant(template, given, new Map([['token', secret]]));
  if (!rendered.ok) throw new Error(JSON.stringify(rendered.errors));
  const { spec } = rendered;
  const images: Record<string, string> = { web: WEB, db: DB };
  const services = spec.services.map((each) => ({ ...each, image: images[each.name] ?? each.image }));
  return {
    app: 'shop',
    release,
    spec: { ...spec, services },
    signature: signatureOf(signed(release)),
  };
}

describe('a signed release', () => {
  test('runs with whatever values its tenants give where it leaves them room', () => {
    const value = fc.string({ maxLength: 20 }).filter((text) => !text.includes('\0'));
    fc.assert(
      fc.property(
        fc.record(
          {
            DB_PASSWORD: value.filter((text) => text !== ''),
            LEVEL: value,
            OWN: value,
            REGION: value,
            BARE: value,
            CPUS: fc.constantFrom('0.1', '2'),
            MEMORY: fc.constantFrom('64M', '2G'),
            COPIES: fc.constantFrom('1', '3'),
          },
          { requiredKeys: [] },
        ),
        fc.integer({ min: 0, max: 3_600_000 }),
        (variables, bakeMs) => {
          const entry = entryOf(variables);
          const baked = { ...entry, spec: { ...entry.spec, bakeMs } };
          expect(verifyRelease(baked, keys)).toEqual({ kind: 'signed', key: 'ci-2026' });
        },
      ),
      { numRuns: 60 },
    );
  });

  test('leaves open what it says and no more', () => {
    expect(signed().open).toEqual({
      web: {
        environment: ['BARE', 'DATABASE_URL', 'FROM_TENANT', 'LEVEL', 'OWN', 'STORE'],
        parts: ['hostname', 'labels', 'limits', 'replicas'],
      },
      db: { environment: ['POSTGRES_PASSWORD'], parts: [] },
    });
  });

  test('does not run when any one leaf of what was signed is another, is gone, or has company', () => {
    const entry = entryOf();
    const leaves = leavesOf(entry.spec).filter((path) => !isOpen(path));
    expect(leaves.length).toBeGreaterThan(60);
    for (const path of leaves)
      for (const change of [altered, removed]) {
        const spec = change(entry.spec, path);
        expect([path, verifyRelease({ ...entry, spec }, keys).kind]).toEqual([path, 'refused']);
      }
    const grown = structuredClone(entry.spec);
    Object.assign(grown.services[0]?.environment ?? {}, { LD_PRELOAD: '/data/evil.so' });
    expect(verifyRelease({ ...entry, spec: grown }, keys)).toMatchObject({ why: 'altered' });
    const [first] = entry.spec.services;
    if (first === undefined) throw new Error('no service');
    const more = { ...entry.spec, services: [...entry.spec.services, { ...first, name: 'miner' }] };
    expect(verifyRelease({ ...entry, spec: more }, keys)).toMatchObject({ why: 'altered' });
  });

  test('does not run when the places that it leaves open are widened', () => {
    const entry = entryOf();
    const signature = entry.signature;
    if (signature === undefined) throw new Error('not signed');
    const spec = structuredClone(entry.spec);
    Object.assign(spec.services.find(({ name }) => name === 'web')?.environment ?? {}, { FIXED: '2' });
    const open = structuredClone(signature.open);
    open['web']?.environment.push('FIXED');
    expect(verifyRelease({ ...entry, spec, signature: { ...signature, open } }, keys)).toMatchObject({
      why: 'altered',
    });
  });

  test('is known by its app and its number, so neither another app’s nor another release’s signature fits', () => {
    const entry = entryOf();
    expect(verifyRelease({ ...entry, app: 'blog' }, keys)).toMatchObject({ why: 'altered' });
    expect(verifyRelease({ ...entry, release: 14 }, keys)).toMatchObject({ why: 'altered' });
    const foreign = { ...entry, signature: signatureOf(signed(13, 'blog')) };
    expect(verifyRelease(foreign, keys)).toMatchObject({ why: 'altered' });
    expect(verifyRelease({ ...entry, signature: signatureOf(signed(12)) }, keys)).toMatchObject({
      why: 'altered',
    });
    // An older one as itself is a way back, and signed.
    expect(verifyRelease(entryOf({}, 12), keys)).toMatchObject({ kind: 'signed' });
  });

  test('says who should have signed it', () => {
    const { signature: _none, ...unsigned } = entryOf();
    expect(verifyRelease(unsigned, keys)).toEqual({
      kind: 'refused',
      why: 'unsigned',
      message: 'release 13 of shop is not signed by a key that this host accepts (ci-2026)',
    });
    const byOther = { ...unsigned, signature: signatureOf(signed(), other.privateKey, 'laptop') };
    expect(verifyRelease(byOther, keys)).toMatchObject({
      why: 'unknown-key',
      message: 'release 13 of shop is signed by laptop, not by a key that this host accepts (ci-2026)',
    });
    const pretended = { ...unsigned, signature: signatureOf(signed(), other.privateKey, 'ci-2026') };
    expect(verifyRelease(pretended, keys)).toMatchObject({ why: 'altered' });
    expect(verifyRelease(entryOf(), [])).toMatchObject({ kind: 'refused' });
    const both = { ...byOther.signature, by: [...byOther.signature.by, ...signatureOf(signed()).by] };
    expect(verifyRelease({ ...unsigned, signature: both }, keys)).toEqual({ kind: 'signed', key: 'ci-2026' });
  });

  test('does not run with an image that no digest pins, even when it was signed so', () => {
    const result = signableOf({ app: 'shop', release: 13, template, set: { VERSION: '2' }, images: {} });
    if (!result.ok) throw new Error('not signable');
    const entry = { ...result.signable, signature: signatureOf(result.signable) };
    expect(verifyRelease(entry, keys)).toMatchObject({ kind: 'refused', why: 'unpinned' });
  });

  test('lets an operator close what it may connect to, and not open it', () => {
    const entry = entryOf();
    const spec = { ...entry.spec, egress: ['10.20.0.0/16'] };
    const ranged = { ...entry, spec, signature: signatureOf({ ...signed(), spec }) };
    expect(verifyRelease(ranged, keys).kind).toBe('signed');
    for (const egress of ['none', ['10.20.3.0/24']])
      expect(verifyRelease({ ...ranged, egress: Egress.parse(egress) }, keys).kind).toBe('signed');
    for (const egress of ['internet', 'public', ['10.0.0.0/8'], ['10.20.0.0/16', '10.21.0.0/16']])
      expect(verifyRelease({ ...ranged, egress: Egress.parse(egress) }, keys)).toMatchObject({
        why: 'egress',
      });
    // What is signed for everywhere may be closed, and opened again.
    for (const egress of ['none', 'internet'])
      expect(verifyRelease({ ...entry, egress: Egress.parse(egress) }, keys).kind).toBe('signed');
    const opened = { ...ranged, spec: { ...spec, egress: Egress.parse('internet') } };
    expect(verifyRelease(opened, keys)).toMatchObject({ why: 'altered' });
  });

  test('does not change its text when openings are named in another order or twice', () => {
    const signable = signed();
    const shuffled: Signable = {
      ...signable,
      open: Object.fromEntries(
        Object.entries(signable.open)
          .toReversed()
          .map(([service, { environment, parts }]) => [
            service,
            { environment: [...environment, ...environment].toReversed(), parts: parts.toReversed() },
          ]),
      ),
    };
    expect(signedText(shuffled)).toBe(signedText(signable));
    expect(signedText(signable)).toMatch(/^berth-release-v1\nshop\n13\n[0-9a-f]{64}$/);
    expect(JSON.stringify(boundPart(signable))).not.toContain('DB_PASSWORD');
  });

  test('costs an entry of the desired state a few hundred bytes', () => {
    expect(JSON.stringify(entryOf().signature).length).toBeLessThan(450);
  });
});

test('only Ed25519 public keys are keys', () => {
  const spki = (key: typeof pair.publicKey) => key.export({ format: 'der', type: 'spki' }).toString('base64');
  expect(PublicKey.safeParse(spki(pair.publicKey)).success).toBe(true);
  expect(readPublicKey(spki(pair.publicKey))?.asymmetricKeyType).toBe('ed25519');
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 });
  for (const wrong of ['', 'ci', spki(rsa.publicKey), spki(generateKeyPairSync('x25519').publicKey)])
    expect(PublicKey.safeParse(wrong).success).toBe(false);
});

type Path = readonly (string | number)[];

function leavesOf(value: unknown, at: Path = []): Path[] {
  if (value === null || typeof value !== 'object') return [at];
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? value.map((item, index) => [index, item])
    : Object.entries(value);
  return entries.flatMap(([key, item]) => leavesOf(item, [...at, key]));
}

function isOpen(path: Path): boolean {
  const text = path.join(' ');
  // Services come in the order of their dependencies: web first here, as nothing depends on anything.
  return (
    text === 'bakeMs' ||
    /^services 0 (limits|reservation|replicas|hostname|labels)/.test(text) ||
    /^services 0 environment (BARE|DATABASE_URL|FROM_TENANT|LEVEL|OWN|STORE)$/.test(text) ||
    /^services 0 secrets 0 (version|id|from)$/.test(text) ||
    text === 'services 1 environment POSTGRES_PASSWORD'
  );
}

function altered(spec: TenantSpec, path: Path): TenantSpec {
  return changed(spec, path, (holder, key) => {
    const value = Reflect.get(holder, key) as unknown;
    const other = typeof value === 'string' ? `${value}x` : typeof value === 'number' ? value + 1 : !value;
    Reflect.set(holder, key, other);
  });
}

function removed(spec: TenantSpec, path: Path): TenantSpec {
  return changed(spec, path, (holder, key) => {
    if (Array.isArray(holder)) holder.splice(Number(key), 1);
    else Reflect.deleteProperty(holder, key);
  });
}

function changed(spec: TenantSpec, path: Path, change: (holder: object, key: string) => void): TenantSpec {
  const copy = structuredClone(spec);
  let holder: object = copy;
  for (const key of path.slice(0, -1)) holder = Reflect.get(holder, key) as object;
  change(holder, String(path.at(-1)));
  return copy;
}
