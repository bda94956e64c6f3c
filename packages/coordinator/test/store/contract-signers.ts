import { generateKeyPairSync } from 'node:crypto';
import { expect } from 'vitest';
import { signSigners, standingOf, type PoolSigners } from '@berth/shared/domain/signers';
import type { KeptSigners } from '../../src/services/signers-store.ts';
import { hello } from '../support/samples.ts';
import { addHost, contractContext, write, type OpenEmpty } from './contract.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const spki = publicKey.export({ format: 'der', type: 'spki' }).toString('base64');

function kept(pool: string, version: number, required = true): KeptSigners {
  const signers: PoolSigners = { pool, version, required, keys: [{ name: 'ci', publicKey: spki }] };
  return { signers, by: [{ key: 'ci', value: signSigners(privateKey, signers) }], at: version };
}

/** Whose releases a pool runs. */
export function signersContract(open: OpenEmpty): void {
  const { on } = contractContext(open);

  on('statements are kept by pool, oldest first, make the pool known, and may begin anew', async (store) => {
    expect(await store.poolSigners('prod')).toEqual([]);
    for (const version of [1, 2, 10])
      await write(store, (tx) => tx.addPoolSigners(kept('prod', version), 'after'));
    await write(store, (tx) => tx.addPoolSigners(kept('test', 1, false), 'after'));
    expect(await store.poolSigners('prod')).toEqual([kept('prod', 1), kept('prod', 2), kept('prod', 10)]);
    expect(await store.fleet.poolSigners('test')).toEqual([kept('test', 1, false)]);
    expect(await store.pool('prod')).toEqual({ pool: 'prod', hosts: 0, tenants: 0 });
    await write(store, (tx) => tx.addPoolSigners(kept('prod', 11), 'anew'));
    expect(await store.poolSigners('prod')).toEqual([kept('prod', 11)]);
    expect(await store.poolSigners('test')).toHaveLength(1);
  });

  on('a version is there once: of two that set it at the same time, one does', async (store) => {
    await write(store, (tx) => tx.addPoolSigners(kept('prod', 1), 'after'));
    expect(await write(store, (tx) => tx.addPoolSigners(kept('prod', 1, false), 'after'))).toBe(false);
    expect(await store.poolSigners('prod')).toEqual([kept('prod', 1)]);
  });

  on('pools that require signatures are those whose newest statement says so', async (store) => {
    await write(store, (tx) => tx.addPoolSigners(kept('prod', 1), 'after'));
    await write(store, (tx) => tx.addPoolSigners(kept('test', 1), 'after'));
    await write(store, (tx) => tx.addPoolSigners(kept('test', 2, false), 'after'));
    expect([...(await store.requiringPools())]).toEqual([['prod', kept('prod', 1)]]);
  });

  on(
    'a hello finds the newest statement of its pool, and what a host says of it later is kept',
    async (store) => {
      const host = await addHost(store, 1, 'prod');
      await addHost(store, 2, 'test');
      for (const version of [2, 10])
        await write(store, (tx) => tx.addPoolSigners(kept('prod', version), 'after'));
      const found = async () => (await store.fleet.hostsForHello([host])).get(host);
      expect(await found()).toMatchObject({ pool: 'prod', signers: standingOf(kept('prod', 10)) });
      const said = hello(host);
      const facts = { ...said.facts, poolSigners: 'none', signersRefused: 'No.' };
      await store.fleet.noteConnections([
        { kind: 'online', host, at: 1, hello: { ...said, facts } },
        { kind: 'signers', host, at: 2, facts: { poolSigners: 'prod@10:000000000000', releaseRule: 'pool' } },
        { kind: 'signers', host: 'h_0000000000000099', at: 2, facts: { poolSigners: 'none' } },
      ]);
      const [of, ...others] = await store.signersHosts('prod');
      expect(others).toEqual([]);
      expect(of).toEqual({
        host,
        name: 'host-1',
        connection: 'online',
        facts: { ...said.facts, poolSigners: 'prod@10:000000000000', releaseRule: 'pool' },
      });
    },
  );
}
