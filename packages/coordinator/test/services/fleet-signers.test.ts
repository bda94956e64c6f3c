import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { EMPTY_DIGEST } from '@berth/shared/domain/desired';
import { MOST_STATEMENTS, signSigners, standingOf, type SignedSigners } from '@berth/shared/domain/signers';
import { Signers, ToAgent, MAX_FRAME_BYTES } from '@berth/shared/protocol/messages';
import { followHints } from '../../src/services/fleet-hints.ts';
import { Session } from '../../src/services/fleet-session.ts';
import { createSignersDesk } from '../../src/services/fleet-signers.ts';
import type { HelloRecord } from '../../src/services/fleet-store.ts';
import { hello, hostId } from '../support/samples.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const spki = publicKey.export({ format: 'der', type: 'spki' }).toString('base64');
function statement(version: number, keys = [{ name: 'ci', publicKey: spki }]): SignedSigners {
  const signers = { pool: 'prod', version, required: true, keys };
  return { signers, by: [{ key: 'ci', value: signSigners(privateKey, signers) }] };
}
const chain = [statement(1), statement(2), statement(5)];
const NEWEST = standingOf(statement(5));
const silent = { debug() {}, info() {}, warn() {}, error() {} };

const record = (n: number, signers: string | null, pool = 'prod'): HelloRecord => ({
  host: hostId(n),
  name: `host-${n}`,
  publicKey: 'k',
  revision: 0,
  digest: EMPTY_DIGEST,
  pool,
  signers,
});
const saying = (n: number, facts: Record<string, string>) => {
  const said = hello(hostId(n));
  return { ...said, facts: { ...said.facts, ...facts } };
};

function desk(kept: readonly SignedSigners[] = chain) {
  const sessions = new Map<string, Session>();
  const reads: string[] = [];
  const made = createSignersDesk({
    store: {
      poolSigners(pool) {
        reads.push(pool);
        return pool === 'broken' ? Promise.reject(new Error('away')) : Promise.resolve([...kept]);
      },
    },
    sessions,
    log: silent,
  });
  const join = (n: number, facts: Record<string, string>, pool = 'prod') => {
    const told: Signers[] = [];
    const connection = {
      heardAt: 0,
      tell: (text: string) => void told.push(Signers.parse(ToAgent.parse(JSON.parse(text)))),
      close() {},
      pause() {},
      resume() {},
    };
    const beat = { heartbeatMs: 1, timeoutMs: 1 };
    const session = new Session(hostId(n), connection, beat, 'apply', 'k');
    made.begin(session, saying(n, facts), record(n, null, pool));
    sessions.set(session.host, session);
    return { session, told };
  };
  return { ...made, reads, join };
}
const versions = (message: Signers | null | undefined) =>
  message?.chain.map(({ signers }) => signers.version);

test('a host that has the newest statement, or knows nothing of this, costs no read and gets nothing', async () => {
  const { forHello, reads } = desk();
  expect(await forHello(saying(1, { poolSigners: NEWEST }), record(1, NEWEST))).toBeNull();
  expect(await forHello(saying(1, { poolSigners: 'none' }), record(1, null))).toBeNull();
  expect(await forHello(saying(1, {}), record(1, NEWEST))).toBeNull();
  expect(reads).toEqual([]);
});

test('a host gets what follows on what it has, and the newest in any case, so that it can tell what is wrong', async () => {
  const { forHello } = desk();
  const told = async (poolSigners: string, more = {}) =>
    versions(await forHello(saying(1, { poolSigners, ...more }), record(1, NEWEST)));
  expect(await told('none')).toEqual([1, 2, 5]);
  expect(await told(standingOf(statement(1)))).toEqual([2, 5]);
  expect(await told('prod@5:000000000000')).toEqual([5]);
  expect(await told('prod@9:000000000000')).toEqual([5]);
  expect(await told('other@9:000000000000')).toEqual([1, 2, 5]);
  expect(await told(NEWEST, { signersRefused: 'No.' })).toEqual([5]);
  const gone = await desk([]).forHello(saying(1, { poolSigners: NEWEST }), record(1, null));
  expect(gone).toEqual({ type: 'signers', pool: 'prod', chain: [] });
});

test('a change reaches the connected hosts of the pool that know of it, each from where it is', async () => {
  const { changed, join, acknowledged, reads } = desk();
  const fresh = join(1, { poolSigners: 'none' });
  const older = join(2, { poolSigners: standingOf(statement(2)) });
  const unknowing = join(3, {});
  const elsewhere = join(4, { poolSigners: 'none' }, 'test');
  const gone = join(5, { poolSigners: 'none' });
  gone.session.closed = true;
  changed('prod');
  await Promise.resolve();
  expect(versions(fresh.told[0])).toEqual([1, 2, 5]);
  expect(versions(older.told[0])).toEqual([5]);
  for (const each of [unknowing, elsewhere, gone]) expect(each.told).toEqual([]);
  expect(reads).toEqual(['prod']);
  acknowledged(fresh.session, { type: 'signers.ack', facts: { poolSigners: standingOf(statement(2)) } });
  changed('prod');
  changed('broken');
  await Promise.resolve();
  expect(versions(fresh.told[1])).toEqual([5]);
});

test('as many statements as are sent at once, of as many keys, fit into a frame', async () => {
  const keys = Array.from({ length: 16 }, (_, index) => {
    const made = generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' });
    return { name: `${'k'.repeat(57)}-${index}`, publicKey: made.toString('base64') };
  });
  const many = Array.from({ length: 250 }, (_, index) => {
    const signed = statement(index + 1, keys);
    return { ...signed, by: Array.from({ length: 4 }, () => signed.by).flat() };
  });
  const message = await desk(many).forHello(saying(1, { poolSigners: 'none' }), record(1, NEWEST));
  expect(message?.chain).toHaveLength(MOST_STATEMENTS);
  expect(message?.chain.at(-1)?.signers.version).toBe(250);
  expect(Buffer.byteLength(JSON.stringify(message))).toBeLessThan(MAX_FRAME_BYTES);
});

test('what another coordinator has set is heard of by its event', async () => {
  const told: string[] = [];
  const event = { id: 1, at: 1, tenant: null, app: null, host: null, generation: null, message: '' };
  const events = [
    { ...event, kind: 'pool.signers', details: { pool: 'prod', version: 2 } },
    { ...event, kind: 'pool.signers', details: {} },
    { ...event, kind: 'tenant.changed', host: hostId(1), details: { pool: 'other' } },
  ];
  await followHints(
    {
      last: () => Promise.resolve(0),
      async *follow() {
        await Promise.resolve();
        yield events;
      },
    },
    {
      changed: (host) => void told.push(host),
      recheck: () => Promise.resolve(),
      signersChanged: (pool) => void told.push(pool),
    },
    new AbortController().signal,
  );
  expect(told).toEqual([hostId(1), 'prod']);
});
