import { messageOf } from '@berth/shared/domain/errors';
import type { Changes } from './fleet-changes.ts';
import type { Notes } from './fleet-notes.ts';
import type { Session } from './fleet-session.ts';
import type { EpochRecord, FleetStore } from './fleet-store.ts';
import type { Clock, Log } from './fleet-types.ts';

/** So many hosts must know more than we do before all of them are held, unless the fleet is smaller. */
const WITNESSES = 2;
/**
 * Epochs that nobody has restored. One host that names such a number must not move the fleet there: after the last whole
 * number no epoch could follow. Such a host is held by itself.
 */
const MOST_AHEAD = 1_000;

/** What an agent has that we do not know of. */
export interface Claim {
  epoch: number;
  revision: number;
  /** For people: who has what, and what we have. */
  why: string;
}

/** The fleet's epoch and mode, and the hosts that know more than this coordinator does. */
export interface EpochKeeper {
  now(): EpochRecord;
  /**
   * An agent has a later state than we do. One alone may be wrong, so it alone is held: it is sent nothing and told to
   * change nothing. A second one, or the only one of its fleet, means that we were restored from an older backup: then
   * all are held, in a new epoch, until an operator confirms. Errors: the store's.
   */
  ahead(host: string, claim: Claim): Promise<void>;
  /** This host is not ahead, or no longer ours. */
  level(host: string): void;
  /** Whether nothing may be decided for this host now. */
  holds(host: string): boolean;
  /** What a held host said that it has. */
  claimOf(host: string): Claim | null;
  /** Holds all hosts when one is held, in an epoch above its own: a confirmation of that reaches it too. */
  gather(): Promise<void>;
  /** The store's epoch or mode was changed by somebody else. */
  reread(): void;
}

export function createEpochKeeper(options: {
  first: EpochRecord;
  store: FleetStore;
  clock: Clock;
  log: Log;
  sessions: ReadonlyMap<string, Session>;
  changes(): Changes;
  notes: Notes;
}): EpochKeeper {
  const { store, clock, log, sessions } = options;
  const claims = new Map<string, Claim>();
  let epoch = options.first;
  let turn: Promise<void> = Promise.resolve();

  function use(now: EpochRecord): void {
    const before = epoch;
    epoch = now;
    if (before.epoch === now.epoch && before.mode === now.mode) return;
    // In a new epoch everyone is told everything anew, so nobody can be ahead in it.
    if (before.epoch !== now.epoch) claims.clear();
    const text = JSON.stringify({ type: 'mode', epoch: now.epoch, mode: now.mode });
    for (const session of sessions.values()) {
      session.cursor = null;
      if (now.mode === 'observe') {
        session.told = 'observe';
        session.connection.tell(text);
      } else {
        // `apply` follows the new epoch's full state, not the other way round.
        options.changes().mark(session);
      }
    }
  }

  function observe(reason: string, above: number): Promise<void> {
    const mine = turn.then(async () => {
      if (epoch.mode === 'observe' && epoch.epoch > above) return;
      use(await store.enterObserveOnly(reason, clock.now(), above));
      log.error({ reason, epoch: epoch.epoch }, 'Observe-only: no agent acts until an operator confirms.');
    });
    turn = mine.catch(() => undefined);
    return mine;
  }

  const believable = (claim: Claim): boolean => claim.epoch - epoch.epoch <= MOST_AHEAD;
  const credible = (): Claim[] => [...claims.values()].filter(believable);
  const latest = (): number => Math.max(...credible().map((claim) => claim.epoch));

  return {
    now: () => epoch,
    async ahead(host, claim) {
      if (epoch.mode === 'observe' && believable(claim)) {
        await observe(claim.why, claim.epoch);
        return;
      }
      const known = claims.has(host);
      claims.set(host, claim);
      const enough =
        believable(claim) && (credible().length >= WITNESSES || (await store.enrolledHosts()) < WITNESSES);
      if (enough) {
        await observe(
          credible()
            .slice(0, WITNESSES)
            .map((each) => each.why)
            .join(', and '),
          latest(),
        );
        return;
      }
      if (known) return;
      const { epoch: theirs, revision, why } = claim;
      options.notes.connection({ kind: 'ahead', host, at: clock.now(), epoch: theirs, revision });
      log.error(
        { host, why },
        'A host knows more than this coordinator; it alone is held until an operator confirms.',
      );
    },
    level: (host) => void claims.delete(host),
    holds: (host) => epoch.mode === 'observe' || claims.has(host),
    claimOf: (host) => claims.get(host) ?? null,
    async gather() {
      const [first] = credible();
      if (first !== undefined) await observe(first.why, latest());
    },
    reread() {
      store.epoch().then(use, (thrown: unknown) => {
        log.error(
          { err: thrown },
          `Could not read the epoch; agents keep the mode they have: ${messageOf(thrown)}`,
        );
      });
    },
  };
}
