import type { PoolSignersSet, PoolSignersShown, SetPoolSigners } from '@berth/shared/api/signers';
import { whoText } from '@berth/shared/domain/actor';
import { digestOf } from '@berth/shared/domain/digest';
import { BerthError } from '@berth/shared/domain/errors';
import { keyFingerprint } from '@berth/shared/domain/signature';
import { judgeSigners, parseStanding, standingOf } from '@berth/shared/domain/signers';
import type { z } from 'zod';
import type { ServiceContext } from './context.ts';
import type { Actor } from './records.ts';
import type { KeptSigners, SignersHost } from './signers-store.ts';
import type { StoreReads } from './store.ts';

export interface PoolSignersService {
  /** Errors: `not_found` where there is no such pool. */
  show(pool: string): Promise<PoolSignersShown>;
  /**
   * Hands a statement on. Hosts decide whether it holds; what they would refuse is refused here already, unless it is to
   * replace what was there; and so is one that asks for no signature where none was ever asked for. Errors: `conflict`, `invalid_request`.
   */
  set(by: Actor, pool: string, given: z.output<typeof SetPoolSigners>): Promise<PoolSignersSet>;
}

export function createPoolSigners({
  store,
  clock,
  fleet,
}: Pick<ServiceContext, 'store' | 'clock' | 'fleet'>): PoolSignersService {
  async function shown(pool: string): Promise<PoolSignersShown> {
    const current = (await store.poolSigners(pool)).at(-1) ?? null;
    const hosts = await store.signersHosts(pool);
    return {
      pool,
      current:
        current === null
          ? null
          : { ...audited(current), signedBy: current.by.map(({ key }) => key), at: current.at },
      next: Math.max(current?.signers.version ?? 0, highest(pool, hosts)?.version ?? 0) + 1,
      hosts: hosts.map((host) => ({
        host: host.host,
        name: host.name,
        state: stateOf(host, current),
        version: pinnedBy(host, pool),
        refused: host.facts['signersRefused'] ?? null,
      })),
    };
  }

  return {
    async show(pool) {
      if ((await store.pool(pool)) === null)
        throw new BerthError(
          'not_found',
          `There is no pool ${pool}: nothing is in it and nothing was said of it. "berth pool list" shows those there are.`,
        );
      return await shown(pool);
    },

    async set(by, pool, { replace, ...statement }) {
      const { signers } = statement;
      if (signers.pool !== pool)
        throw new BerthError(
          'invalid_request',
          `This statement is of pool ${signers.pool} and was handed in for pool ${pool}.`,
        );
      const at = clock.now();
      const result = await store.mutate<PoolSignersSet['result']>(by, at, async (tx) => {
        const before = (await tx.poolSigners(pool)).at(-1) ?? null;
        if (before !== null && digestOf(before.signers) === digestOf(signers))
          return { result: 'unchanged', audit: null };
        if (!signers.required) await requireSaid(tx, pool, before);
        if (replace) requireLater(signers.version, before);
        else requireTaken(before, statement);
        await requireAboveHosts(tx, pool, signers.version);
        if (!(await tx.addPoolSigners({ ...statement, at }, replace ? 'anew' : 'after')))
          throw new BerthError(
            'conflict',
            `Somebody else has just set version ${signers.version} of pool ${pool}'s signers; see "berth pool signers show ${pool}".`,
          );
        const { version, required } = signers;
        await tx.addEvents([
          {
            at,
            tenant: null,
            app: null,
            host: null,
            generation: null,
            kind: 'pool.signers',
            message: `${whoText(by.actor)} set whose releases pool ${pool} runs, version ${version}: ${wordsOf(statement)}.`,
            details: { pool, version, required },
          },
        ]);
        return {
          result: 'changed',
          audit: {
            action: 'pool.signers-changed',
            subject: pool,
            before: before === null ? null : audited(before),
            after: { ...audited(statement), ...(replace ? { replace } : {}) },
          },
        };
      });
      if (result === 'changed') fleet.signersChanged(pool);
      return { ...(await shown(pool)), result };
    },
  };
}

/** Errors: `conflict`, with what a host would say. */
function requireTaken(before: KeptSigners | null, statement: Omit<KeptSigners, 'at'>): void {
  const { refusal } = judgeSigners(before, [statement], { anchors: [], pool: statement.signers.pool });
  if (refusal === null) return;
  const { version, pool } = statement.signers;
  if (before === null)
    throw new BerthError(
      'conflict',
      `The first statement of pool ${pool}'s signers has to be signed by one of the keys that it names, and this one is not.`,
    );
  const now = `version ${before.signers.version}, of ${namesOf(before)}`;
  throw new BerthError(
    'conflict',
    refusal.why === 'foreign' || refusal.why === 'unsigned'
      ? `Version ${version} of pool ${pool}'s signers is not signed by a key of the one before (${now}), so its hosts would refuse it. Sign it with one of those; --replace hands it on all the same.`
      : `Version ${version} of pool ${pool}'s signers is not above what there is (${now}), so its hosts would refuse it. Sign version ${before.signers.version + 1}.`,
  );
}

/** Errors: `conflict` where nothing was ever asked for: a statement would only pin keys on hosts that know of none. */
async function requireSaid(
  reads: Pick<StoreReads, 'signersHosts'>,
  pool: string,
  before: KeptSigners | null,
): Promise<void> {
  if (before !== null || highest(pool, await reads.signersHosts(pool)) !== null) return;
  throw new BerthError(
    'conflict',
    `There is nothing to clear: pool ${pool} has never had signers, and asks for no signature.`,
  );
}

function requireLater(version: number, before: KeptSigners | null): void {
  if (before === null || version > before.signers.version) return;
  throw new BerthError(
    'conflict',
    `There is version ${before.signers.version} already: what replaces it needs a higher number.`,
  );
}

/** After a restore from an older backup the hosts know more. */
async function requireAboveHosts(
  reads: Pick<StoreReads, 'signersHosts'>,
  pool: string,
  version: number,
): Promise<void> {
  const ahead = highest(pool, await reads.signersHosts(pool));
  if (ahead === null || version > ahead.version) return;
  throw new BerthError(
    'conflict',
    `Host ${ahead.name} goes by version ${ahead.version} of pool ${pool}'s signers already, which is not known here. Sign version ${ahead.version + 1}.`,
  );
}

function highest(pool: string, hosts: readonly SignersHost[]): { name: string; version: number } | null {
  let found: { name: string; version: number } | null = null;
  for (const host of hosts) {
    const version = pinnedBy(host, pool);
    if (version !== null && version > (found?.version ?? 0)) found = { name: host.name, version };
  }
  return found;
}

function pinnedBy({ facts }: SignersHost, pool: string): number | null {
  const standing = parseStanding(facts['poolSigners'] ?? '');
  return standing?.pool === pool ? standing.version : null;
}

function stateOf(
  { facts, connection }: SignersHost,
  current: KeptSigners | null,
): PoolSignersShown['hosts'][number]['state'] {
  if (goesByItsOwn(facts)) return 'own';
  const has = facts['poolSigners'];
  if (has === undefined) return connection === 'never-seen' ? 'behind' : 'cannot';
  if (facts['signersRefused'] !== undefined) return 'refuses';
  return has === (current === null ? 'none' : standingOf(current)) ? 'goes-by' : 'behind';
}

/** Whether a host's own configuration names whose releases it runs; an agent from before there was more says no more. */
export function goesByItsOwn(facts: Readonly<Record<string, string>>): boolean {
  return facts['releaseKeys'] !== undefined && facts['releaseRule'] !== 'pool';
}

export function namesOf({ signers }: Pick<KeptSigners, 'signers'>): string {
  return signers.keys.map((each) => each.name).join(', ');
}

function wordsOf(statement: Pick<KeptSigners, 'signers'>): string {
  return statement.signers.required
    ? `only releases that are signed by ${namesOf(statement)}`
    : `no signature is required, and ${namesOf(statement)} may say otherwise`;
}

function audited({ signers: { version, required, keys } }: Pick<KeptSigners, 'signers'>) {
  return {
    version,
    required,
    keys: keys.map(({ name, publicKey }) => ({ name, fingerprint: keyFingerprint(publicKey) })),
  };
}
