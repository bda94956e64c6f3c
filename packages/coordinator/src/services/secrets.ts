import type { NewSecret, SecretShown, SecretsSet } from '@berth/shared/api/secrets';
import { BerthError } from '@berth/shared/domain/errors';
import type { z } from 'zod';
import type { ServiceContext } from './context.ts';
import { refuseOwnAddress } from './database-look.ts';
import type { Actor, TenantView } from './records.ts';
import { createSecretKeys, currentKey, vaultOf, type LostKeys, type SecretKeyring } from './secret-keys.ts';
import { refsOf } from './secret-refs.ts';
import type { SecretInfo, SecretRecord } from './secret-store.ts';
import type { StoreReads, StoreWrites } from './store.ts';
import { foundTenant, lockChangeable, requireApply } from './tenant-state.ts';

export interface Secrets extends SecretKeyring {
  list(tenant: string): Promise<SecretShown[]>;
  /** New versions; nothing is deployed by it. */
  set(
    by: Actor,
    tenant: string,
    given: Given,
    lostKeys?: LostKeys,
    sees?: Sees,
  ): Promise<z.infer<typeof SecretsSet>>;
  remove(by: Actor, tenant: string, name: string): Promise<{ versions: number }>;
}

/** Whose secrets a refusal may name: a token of one tenant hears nothing of others. */
export type Sees = 'own' | 'all';
export type Given = Readonly<Record<string, NewSecret>>;

/** Beside those that something desired refers to. */
const KEPT_VERSIONS = 10;
const MOST_SECRETS = 200;
const TRIES = 5;

export function createSecrets(context: ServiceContext): Secrets {
  const { store, clock } = context;

  return {
    async list(tenant) {
      const view = foundTenant(await store.tenantView(tenant), tenant);
      const infos = await store.secretsOf(tenant);
      return infos.length === 0 ? [] : await shown(store, view, infos);
    },

    async set(by, tenant, given, lostKeys = 'refuse', sees = 'own') {
      for (let left = TRIES; ; left -= 1) {
        foundTenant(await store.tenant(tenant), tenant);
        const before = newest(await store.secretsOf(tenant));
        // KMS may take its time, so nobody is kept waiting in a transaction meanwhile.
        const versionOf = (name: string): number => (before.get(name) ?? 0) + 1;
        const records = await sealAll(context, by, tenant, given, versionOf, lostKeys, sees);
        const set = await store.mutate(by, clock.now(), async (tx) => {
          await requireApply(tx);
          await lockChangeable(tx, tenant);
          await refuseOwnAddress(tx, tenant, Object.keys(given));
          const now = newest(await tx.secretsOf(tenant));
          if (records.some(({ name, version }) => version !== (now.get(name) ?? 0) + 1))
            return { result: null, audit: null };
          await insertAll(tx, records);
          await prune(tx, tenant, records);
          const after = { secrets: records.map(audited) };
          return { result: records, audit: { action: 'secret.set', subject: tenant, before: null, after } };
        });
        if (set !== null) return { tenant, secrets: set.map(({ name, version }) => ({ name, version })) };
        if (left <= 1)
          throw new BerthError(
            'conflict',
            `Others are changing the secrets of ${tenant} as well; try again.`,
          );
      }
    },

    remove: (by, tenant, name) =>
      store.mutate(by, clock.now(), async (tx) => {
        await requireApply(tx);
        const record = await lockChangeable(tx, tenant);
        const desired = await tx.desiredTenant(record.host, tenant);
        const users = (desired?.spec.services ?? []).filter((service) =>
          [...(service.secrets ?? []), ...Object.values(service.secretEnv ?? {})].some(
            (ref) => ref.name === name,
          ),
        );
        if (users.length > 0)
          throw new BerthError(
            'conflict',
            `The secret ${name} of tenant ${tenant} is in use by ${users.map((each) => each.name).join(', ')}; move the tenant to a release that does not ask for it first.`,
          );
        const versions = await tx.deleteSecret(tenant, name);
        if (versions === 0)
          throw new BerthError(
            'not_found',
            `Tenant ${tenant} has no secret ${name}; see "berth tenant secret list ${tenant}".`,
          );
        return {
          result: { versions },
          audit: { action: 'secret.removed', subject: tenant, before: { name, versions }, after: null },
        };
      }),

    ...createSecretKeys(context),
  };
}

/** Records for new versions, encrypted. Errors: `secret_unavailable`; nothing is written. */
export async function sealAll(
  deps: Pick<ServiceContext, 'store' | 'vault' | 'clock' | 'random'>,
  by: Actor,
  tenant: string,
  given: Given,
  versionOf: (name: string) => number,
  lostKeys: LostKeys = 'refuse',
  sees: Sees = 'own',
): Promise<SecretRecord[]> {
  const { clock, random } = deps;
  const vault = vaultOf(deps);
  const entries = Object.entries(given);
  if (entries.length === 0) return [];
  if (entries.some(([, { kind }]) => kind === 'value'))
    await currentKey(deps, 'set', lostKeys, sees === 'all' ? undefined : tenant);
  const records: SecretRecord[] = [];
  for (const [name, secret] of entries) {
    const place = { tenant, name, version: versionOf(name), id: Buffer.from(random(8)).toString('hex') };
    const of = { ...place, createdAt: clock.now(), createdBy: by.actor };
    if (secret.kind === 'reference') {
      records.push({ ...of, content: { kind: 'reference', from: secret.from } });
      continue;
    }
    const value = Buffer.from(secret.value, 'base64');
    records.push({ ...of, content: { kind: 'sealed', sealed: await vault.seal(place, value) } });
    value.fill(0);
  }
  return records;
}

export async function insertAll(tx: StoreWrites, records: readonly SecretRecord[]): Promise<void> {
  for (const record of records) await tx.insertSecret(record);
}

/** For the audit: what was set, never to what. */
export function audited({ name, version, content }: SecretRecord): Record<string, unknown> {
  return { name, version, ...(content.kind === 'reference' ? { from: content.from } : {}) };
}

async function prune(tx: StoreWrites, tenant: string, records: readonly SecretRecord[]): Promise<void> {
  const infos = await tx.secretsOf(tenant);
  if (new Set(infos.map(({ name }) => name)).size > MOST_SECRETS)
    throw new BerthError(
      'invalid_request',
      `A tenant has ${MOST_SECRETS} secrets at most; remove some of ${tenant}.`,
    );
  const record = await tx.tenant(tenant);
  const desired = record === null ? null : await tx.desiredTenant(record.host, tenant);
  const wanted = new Set((desired === null ? [] : refsOf(desired.spec)).map(({ id }) => id));
  for (const { name } of records) {
    const old = infos.filter((info) => info.name === name).slice(KEPT_VERSIONS);
    const versions = old.filter(({ id }) => !wanted.has(id)).map(({ version }) => version);
    await tx.deleteSecretVersions(tenant, name, versions);
  }
}

function newest(infos: readonly SecretInfo[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const { name, version } of infos) found.set(name, Math.max(version, found.get(name) ?? 0));
  return found;
}

async function shown(
  store: StoreReads,
  view: TenantView,
  infos: readonly SecretInfo[],
): Promise<SecretShown[]> {
  const desired = await store.desiredTenant(view.host, view.tenant);
  const serves = desired !== null && view.reported?.live === desired.generation;
  return [...new Set(infos.map(({ name }) => name))].flatMap((name): SecretShown[] => {
    const versions = infos.filter((info) => info.name === name);
    const [latest] = versions;
    if (latest === undefined) return [];
    const used = (desired?.spec.services ?? []).flatMap((service) => {
      const refs = [...(service.secrets ?? []), ...Object.values(service.secretEnv ?? {})];
      const ref = refs.find((each) => each.name === name);
      return ref === undefined ? [] : [{ service: service.name, id: ref.id }];
    });
    const current = serves && used.every(({ id }) => id === latest.id);
    return [
      {
        name,
        version: latest.version,
        state: used.length === 0 ? 'unused' : current ? 'live' : 'pending',
        from: latest.from,
        services: used.map(({ service }) => service),
        versions: versions.map(({ version, createdAt, createdBy, from }) => ({
          version,
          createdAt,
          createdBy,
          from,
        })),
      },
    ];
  });
}
