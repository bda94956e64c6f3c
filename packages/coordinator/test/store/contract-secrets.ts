import { expect } from 'vitest';
import type { SecretRecord } from '../../src/services/secret-store.ts';
import { desired, record } from '../support/samples.ts';
import { addApp, addHost, contractContext, write, type OpenEmpty } from './contract.ts';

const id = (n: number): string => n.toString(16).padStart(16, '0');

function secret(tenant: string, name: string, version: number, key = 'local:a'): SecretRecord {
  return {
    tenant,
    name,
    version,
    id: id(version),
    content: { kind: 'sealed', sealed: { key, wrapped: `w${version}`, box: `b${version}` } },
    createdAt: version,
    createdBy: 'test',
  };
}

/** What is kept of tenants' secrets. */
export function secretsContract(open: OpenEmpty): void {
  const { on } = contractContext(open);

  on('versions are listed by name, the newest first, without what they hold', async (store) => {
    await write(store, async (tx) => {
      for (const version of [1, 2, 10]) await tx.insertSecret(secret('acme', 'KEY', version));
      await tx.insertSecret({
        ...secret('acme', 'DSN', 1),
        content: { kind: 'reference', from: 'aws-ssm:/x' },
      });
      await tx.insertSecret(secret('globex', 'KEY', 1));
    });
    const infos = await store.secretsOf('acme');
    expect(infos.map(({ name, version, key, from }) => [name, version, key, from])).toEqual([
      ['DSN', 1, null, 'aws-ssm:/x'],
      ['KEY', 10, 'local:a', null],
      ['KEY', 2, 'local:a', null],
      ['KEY', 1, 'local:a', null],
    ]);
    expect(await store.secret({ tenant: 'acme', name: 'KEY', version: 2, id: id(2) })).toEqual(
      secret('acme', 'KEY', 2),
    );
    expect(await store.secret({ tenant: 'acme', name: 'KEY', version: 2, id: id(3) })).toBeNull();
  });

  on('only the newest version of each is what a template is filled in from', async (store) => {
    await addHost(store);
    await addApp(store);
    await write(store, async (tx) => {
      await tx.insertTenant(record('acme'));
      await tx.putDesired(record('acme').host, { kind: 'tenant', entry: desired('acme') });
      await tx.setVariable('tenant', 'acme', 'A', '1', 1);
      for (const version of [1, 2, 10]) await tx.insertSecret(secret('acme', 'KEY', version));
      await tx.insertSecret({
        ...secret('acme', 'DSN', 1),
        content: { kind: 'reference', from: 'aws-ssm:/x' },
      });
      await tx.insertSecret(secret('globex', 'OTHER', 1));
    });
    const expected = [
      {
        scope: 'secret',
        name: 'DSN',
        value: JSON.stringify({ name: 'DSN', version: 1, id: id(1), from: 'aws-ssm:/x' }),
      },
      { scope: 'secret', name: 'KEY', value: JSON.stringify({ name: 'KEY', version: 10, id: id(10) }) },
    ];
    const rows = await store.variables({ app: 'shop', pool: 'default', tenant: 'acme' });
    expect(rows.filter((row) => row.scope === 'secret')).toEqual(expected);
    expect(
      (await store.variables({ app: 'shop', pool: 'default', tenant: '' })).map((row) => row.scope),
    ).toEqual([]);
    const many = await store.secretsOfTenants(['acme', 'globex', 'nobody', 'acme']);
    expect(many.get('acme')).toEqual(expected);
    expect([...many.keys()].sort()).toEqual(['acme', 'globex']);
  });

  on('what another key wraps is found page by page, and wrapped anew', async (store) => {
    await write(store, async (tx) => {
      for (const tenant of ['acme', 'globex'])
        for (const version of [1, 2]) await tx.insertSecret(secret(tenant, 'KEY', version));
      await tx.insertSecret(secret('acme', 'NEW', 1, 'local:b'));
      await tx.insertSecret({
        ...secret('acme', 'REF', 1),
        content: { kind: 'reference', from: 'aws-ssm:/x' },
      });
    });
    expect(await store.secretKeys()).toEqual([
      { key: 'local:a', versions: 4 },
      { key: 'local:b', versions: 1 },
    ]);
    expect(await store.secretKeyUses(['local:a', 'local:b', 'local:c'])).toEqual([
      { key: 'local:a', versions: 4, secrets: 2, tenants: 2 },
      { key: 'local:b', versions: 1, secrets: 1, tenants: 1 },
    ]);
    expect(await store.secretKeyUses([])).toEqual([]);
    const under = { key: 'local:a', versions: 2 };
    expect(await store.secretsUnder(['local:a', 'local:b'], {})).toEqual([
      { tenant: 'acme', name: 'KEY', ...under },
      { tenant: 'acme', name: 'NEW', key: 'local:b', versions: 1 },
      { tenant: 'globex', name: 'KEY', ...under },
    ]);
    expect(await store.secretsUnder(['local:a'], { tenant: 'globex' })).toEqual([
      { tenant: 'globex', name: 'KEY', ...under },
    ]);
    expect(await store.secretsUnder(['local:a'], { limit: 1 })).toHaveLength(1);
    expect(await store.secretsUnder([], {})).toEqual([]);
    const first = await store.secretsNotUnder('local:b', null, 3);
    expect(first.map(({ tenant, version }) => [tenant, version])).toEqual([
      ['acme', 1],
      ['acme', 2],
      ['globex', 1],
    ]);
    const rest = await store.secretsNotUnder('local:b', first.at(-1) ?? null, 3);
    expect(rest.map(({ tenant, version }) => [tenant, version])).toEqual([['globex', 2]]);
    await write(store, (tx) =>
      tx.rewrapSecret(secret('acme', 'KEY', 2), { key: 'local:b', wrapped: 'again', box: 'ignored' }),
    );
    const place = { tenant: 'acme', name: 'KEY', version: 2, id: id(2) };
    expect((await store.secret(place))?.content).toEqual({
      kind: 'sealed',
      sealed: { key: 'local:b', wrapped: 'again', box: 'b2' },
    });
  });

  on('versions and whole secrets are removed', async (store) => {
    await write(store, async (tx) => {
      for (const version of [1, 2, 3]) await tx.insertSecret(secret('acme', 'KEY', version));
      await tx.insertSecret(secret('acme', 'OTHER', 1));
      await tx.deleteSecretVersions('acme', 'KEY', [1, 3]);
      await tx.deleteSecretVersions('acme', 'KEY', []);
    });
    expect((await store.secretsOf('acme')).map(({ name, version }) => [name, version])).toEqual([
      ['KEY', 2],
      ['OTHER', 1],
    ]);
    expect(await write(store, (tx) => tx.deleteSecret('acme', 'KEY'))).toBe(1);
    expect(await write(store, (tx) => tx.deleteSecret('acme', 'KEY'))).toBe(0);
  });
}
