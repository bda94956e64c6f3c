import { BerthError, messageOf } from '@berth/shared/domain/errors';
import type { FleetPort } from './fleet-port.ts';
import type { Gathering, Open } from './rollout-open.ts';
import { readAfter } from './rollout-traffic.ts';
import type { StoreReads } from './store.ts';

/** An agent answers when Nginx has written all it served, a second or so, and its counts are on record. */
const ANSWER_MS = 6_000;
/** What comes by itself has come by then: agents tell every two seconds of tenants that bake. */
const UNASKED_MS = 5_000;
/** Hosts named in a sentence. */
const NAMED = 3;

/** What is needed of an open rollout. */
export type Baking = Pick<Open, 'rollout' | 'book' | 'trafficAt' | 'gathering'>;

export interface GatherGiven {
  store: Pick<StoreReads, 'traffic'>;
  fleet: Pick<FleetPort, 'ask' | 'online'>;
  /** Called when nobody is waited for any more. */
  wake(): void;
}

/**
 * When the time to bake of the wave that is on has passed: asks its hosts once to tell what they served until now, and
 * reads that as soon as it is on record. Until then `book.counted` says that it is awaited; it never waits for long. An
 * agent tells of requests every other second, and less often of tenants at rest: without this a wave would be judged on
 * what it had served some seconds ago. So are hosts of tenants without a past: there is nothing to compare with, and the
 * number is told.
 */
export async function gatherCounts(
  { store, fleet, wake }: GatherGiven,
  open: Baking,
  now: number,
): Promise<void> {
  const { rollout, book } = open;
  const on = rollout.waves[rollout.wave];
  if (rollout.state.kind !== 'running' || on?.kind !== 'baking' || now < on.until) return;
  const { wave } = rollout;
  const { until } = on;
  if (open.gathering?.wave !== wave || open.gathering.until !== until) {
    const gathering: Gathering = { wave, until, startedAt: now, left: 0, reach: 'all', silent: new Map() };
    open.gathering = gathering;
    askHosts(open, gathering, { fleet, wake });
  }
  const { left, reach, silent, startedAt } = open.gathering;
  if (left > 0 || (reach === 'unasked' && now >= startedAt && now - startedAt < UNASKED_MS)) return;
  if (book.counted(wave, until).kind !== 'awaited') return;
  open.trafficAt = Number.NEGATIVE_INFINITY;
  await readAfter(store, open, now);
  book.setCounted(wave, until, silent.size === 0 ? { kind: 'complete' } : missing(silent));
}

function askHosts(open: Baking, gathering: Gathering, { fleet, wake }: Omit<GatherGiven, 'store'>): void {
  const hosts = new Map<string, { name: string; connection: 'online' | 'offline' }>();
  for (const { tenant, wave, progress } of open.rollout.tenants) {
    const fact = open.book.tenant(tenant);
    if (wave !== gathering.wave || progress.kind !== 'live' || fact === null) continue;
    hosts.set(fact.host, { name: open.book.hostName(tenant), connection: fact.connection });
  }
  for (const [host, { name, connection }] of hosts) {
    if (!fleet.online(host)) {
      if (connection === 'offline') gathering.silent.set(name, 'it is offline');
      else gathering.reach = 'unasked';
      continue;
    }
    gathering.left += 1;
    fleet
      .ask(host, { kind: 'traffic' }, ANSWER_MS)
      .then((answer) => {
        if (answer.kind === 'error') gathering.silent.set(name, answer.message);
      })
      .catch((thrown: unknown) => {
        if (thrown instanceof BerthError && thrown.code === 'unavailable') gathering.reach = 'unasked';
        else gathering.silent.set(name, messageOf(thrown));
      })
      .finally(() => {
        gathering.left -= 1;
        if (gathering.left === 0) wake();
      });
  }
}

function missing(silent: ReadonlyMap<string, string>): { kind: 'missing'; why: string } {
  const names = [...silent.keys()].sort();
  const [first = ''] = names;
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : '';
  const who = `${names.length === 1 ? 'host' : 'hosts'} ${names.slice(0, NAMED).join(', ')}${more}`;
  return {
    kind: 'missing',
    why: `the last counts of ${who} did not come: ${silent.get(first)}`.slice(0, 300),
  };
}
