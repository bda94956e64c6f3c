import { expect } from 'vitest';
import type { AuditEntry } from '../../src/services/records.ts';
import type { Store } from '../../src/services/store.ts';
import { faultOf } from '../support/audit.ts';
import { addApp, addHost, addTenant, contractContext, removeTenant, type OpenEmpty } from './contract.ts';

/** The audit is one chain, whoever writes, and is found by who did what. */
export function auditContract(open: OpenEmpty): void {
  const { on } = contractContext(open);

  const put = (store: Store, actor: string, given: Partial<AuditEntry> & { at?: number } = {}) =>
    store.mutate({ actor, requestId: 'r' }, given.at ?? 1, async (tx) => {
      await tx.setMode('apply', null);
      const { at: _at, ...entry } = given;
      return {
        result: null,
        audit: { action: 'test.done', subject: 'test', before: null, after: null, ...entry },
      };
    });

  on('an audit without records is a chain that holds', async (store) => {
    expect(await store.auditHead()).toEqual({ number: 0, hash: '0'.repeat(64) });
    expect(await faultOf(store)).toBeNull();
  });

  on('records of many writers at once are one chain, and mutations that fail leave no gap', async (store) => {
    const refused = new Error('refused');
    const writes = Array.from({ length: 60 }, (_, n) => {
      if (n % 3 !== 0) return put(store, `token:t_${n} writer ${n}`, { subject: `s-${n}` });
      return store
        .mutate({ actor: 'x', requestId: '' }, 1, async (tx) => {
          await tx.insertApp(`app-${n}`, 1);
          throw refused;
        })
        .catch((thrown: unknown) => expect(thrown).toBe(refused));
    });
    await Promise.all(writes);
    expect((await store.auditHead()).number).toBe(40);
    expect(await faultOf(store)).toBeNull();
  });

  on('what agents and the coordinator itself do is in the same chain', async (store) => {
    const host = await addHost(store);
    await addApp(store);
    const generation = await addTenant(store, 'acme');
    await removeTenant(store, 'acme', generation);
    await store.fleet.finishRemoval(host, 'acme', generation, 5);
    await store.fleet.enterObserveOnly('restored', 6);
    const actors = (await store.audit(undefined, 2)).map(({ actor, action }) => [actor, action]);
    expect(actors).toEqual([
      ['coordinator', 'epoch.observe'],
      [`agent:${host}`, 'tenant.removed'],
    ]);
    expect(await faultOf(store)).toBeNull();
  });

  on('whatever is in names and values comes back so that the chain holds', async (store) => {
    const texts = [
      '\0',
      '\ud800 half',
      'smile 😀',
      '\u2028\u0085\u001b[2J',
      `'; drop table audit; --`,
      '%_\\',
    ];
    for (const text of texts) {
      await put(store, `token:t_1 ${text}`, {
        action: text,
        subject: text,
        before: { [text]: text, 10: 1, 9: 2, ['__proto__']: { a: 1 } },
        after: [text, 0.1, -0, 1e21, Number.NaN, undefined, true],
      });
    }
    expect(await faultOf(store)).toBeNull();
    const [last] = await store.audit(undefined, 1, { subject: '%_\\' });
    expect(last).toMatchObject({
      before: { 9: 2, '%_\\': '%_\\' },
      after: ['%_\\', 0.1, 0, 1e21, null, null, true],
    });
  });

  on('no secret is kept, whoever hands it over', async (store) => {
    const token = `berth_api_${'x'.repeat(36)}`;
    await put(store, `token:t_1 ${token}`, {
      subject: `see ${token}`,
      before: { password: 'planted', reason: `is it ${token}?`, publicKey: 'AAAA' },
      after: { variables: { KEY: 'planted' }, nested: [{ api_token: 'planted' }] },
    });
    const [record] = await store.audit(undefined, 1);
    expect(record).toMatchObject({
      actor: 'token:t_1 (redacted)',
      subject: 'see (redacted)',
      before: { password: '(redacted)', reason: 'is it (redacted)?', publicKey: 'AAAA' },
      after: { variables: ['KEY'], nested: [{ api_token: '(redacted)' }] },
    });
    expect(await faultOf(store)).toBeNull();
  });

  on('records are found by who, what, of what and since when', async (store) => {
    const actors = [
      'token:t_1 ci',
      'token:t_2 my ci',
      'token:t_11 c_',
      'agent:h_1',
      'rollout:7',
      'coordinator',
      't_1',
    ];
    for (const [n, actor] of actors.entries()) {
      const action = n % 2 === 0 ? 'tenant.created' : 'tenants.moved';
      await put(store, actor, { at: 100 + n, action, subject: n < 3 ? 'acme' : 'a' });
    }
    const found = async (filter: Parameters<Store['audit']>[2]) =>
      (await store.audit(undefined, 10, filter)).map((record) => record.id).reverse();
    expect(await found({ by: 'ci' })).toEqual([1]);
    expect(await found({ by: 'my ci' })).toEqual([2]);
    expect(await found({ by: 't_1' })).toEqual([1, 7]);
    expect(await found({ by: 'token:t_1 ci' })).toEqual([1]);
    expect(await found({ by: 'c_' })).toEqual([3]);
    expect(await found({ by: 'h_1' })).toEqual([4]);
    expect(await found({ by: '7' })).toEqual([5]);
    expect(await found({ by: 'coordinator' })).toEqual([6]);
    expect(await found({ by: '%' })).toEqual([]);
    expect(await found({ action: 'tenant' })).toEqual([1, 3, 5, 7]);
    expect(await found({ action: 'tenants.moved' })).toEqual([2, 4, 6]);
    expect(await found({ action: 'tenant.' })).toEqual([]);
    expect(await found({ subject: 'a', since: 105 })).toEqual([6, 7]);
    expect(await found({ by: 'ci', action: 'tenants' })).toEqual([]);
    expect((await store.audit(5, 2, { action: 'tenant' })).map(({ id }) => id)).toEqual([3, 1]);
    expect((await store.auditAfter(1, 2, { action: 'tenant' })).map(({ id }) => id)).toEqual([3, 5]);
  });
}
