import type { Challenge, EnrolAws, Reenrol } from '@berth/shared/api/enrolment';
import type { CreateJoinToken, Enrol, Enrolled, Host, JoinToken } from '@berth/shared/api/schemas';
import type { ProbeReport } from '@berth/shared/domain/probe';
import { BerthError } from '@berth/shared/domain/errors';
import type { z } from 'zod';
import type { ServiceContext } from './context.ts';
import { createEnrolAlerts, type Refusal } from './enrol-alerts.ts';
import { createAwsEnrolment } from './enrol-aws.ts';
import { announce, newHostId } from './enrol-host.ts';
import { canonicalKey } from './enrol-key.ts';
import { probeHost } from './host-probe.ts';
import { listed, type Listed } from './paging.ts';
import type { Actor, JoinTokenRecord } from './records.ts';
import type { Page } from './store.ts';
import { makeToken, tokenFault, tokenHash } from './tokens.ts';
import { hostShown } from './views.ts';

type HostAnswer = z.infer<typeof Host>;

export interface Hosts {
  list(page: Page): Promise<Listed<HostAnswer>>;
  show(host: string): Promise<HostAnswer>;
  joinToken(by: Actor, given: z.output<typeof CreateJoinToken>): Promise<z.infer<typeof JoinToken>>;
  /** Binds a key to a new host. The same key again answers the same host, so that a lost answer can be asked for again. */
  enrol(by: Actor, given: z.output<typeof Enrol> | EnrolAws): Promise<z.infer<typeof Enrolled>>;
  /** For a host that is going to prove who it is. */
  challenge(): Challenge;
  /** Lets the instance of a host bind a new key for 15 minutes. */
  reenrol(by: Actor, host: string): Promise<z.infer<typeof Reenrol>>;
  /** Has the host try its own isolation. Errors: `host_offline`, and what the agent says. */
  probe(by: Actor, host: string): Promise<ProbeReport>;
  schedule(by: Actor, host: string, scheduling: 'open' | 'cordoned'): Promise<HostAnswer>;
  remove(by: Actor, host: string): Promise<void>;
}

export function createHosts(context: ServiceContext): Hosts {
  const { store, fleet, clock, random } = context;
  const alerts = createEnrolAlerts(store, clock);
  const aws = createAwsEnrolment(context, alerts);
  return {
    challenge: () => aws.challenge(),
    reenrol: (by, host) => aws.reenrol(by, host),
    async list(page) {
      const rows = await store.hosts({ ...page, limit: page.limit + 1 });
      return listed(rows.map(hostShown), page.limit, (host) => host.host);
    },
    async show(host) {
      return hostShown(found(await store.host(host), host));
    },
    async joinToken(by, { pool, ttlMs }) {
      const token = makeToken('join', random);
      const at = clock.now();
      const expiresAt = at + ttlMs;
      await store.mutate(by, at, async (tx) => {
        await tx.insertJoinToken(tokenHash(token), pool, at, expiresAt);
        return {
          result: null,
          audit: { action: 'join-token.created', subject: pool, before: null, after: { pool, expiresAt } },
        };
      });
      return { token, pool, expiresAt };
    },
    async enrol(by, given) {
      if ('aws' in given) return await aws.enrol(by, given);
      const publicKey = canonicalKey(given.publicKey);
      const at = clock.now();
      const fault = tokenFault('join', given.token);
      if (fault !== null) throw new BerthError('unauthenticated', fault);
      const hash = tokenHash(given.token);
      let usedBy: string | null = null;
      // Nobody with an API token does this: what speaks is the bearer of a join token.
      const joining = { actor: 'join-token', requestId: by.requestId };
      const enrolled = store.mutate<z.infer<typeof Enrolled>>(joining, at, async (tx) => {
        const token = await tx.joinToken(hash);
        usedBy = token?.usedBy ?? null;
        if (token === null) {
          throw new BerthError(
            'unauthenticated',
            'This join token is not known. Make a new one with "berth host join-token".',
          );
        }
        const present = await tx.hostByKey(publicKey);
        if (present !== null && (token.usedBy === null || token.usedBy === present.host))
          return { result: { host: present.host, pool: present.pool }, audit: null };
        checkUsable(token, at);
        const host = newHostId(random);
        const record = { host, name: given.name, publicKey, pool: token.pool, createdAt: at };
        await tx.insertHost(record);
        await tx.useJoinToken(hash, host);
        await announce(tx, record, at);
        return {
          result: { host, pool: token.pool },
          audit: { action: 'host.enrolled', subject: host, before: null, after: record },
        };
      });
      try {
        return await enrolled;
      } catch (thrown) {
        // Somebody has a token that is another's: it was copied, or handed to two.
        if (usedBy !== null) await alerts.raise(usedTwice(given.name, usedBy));
        throw thrown;
      }
    },
    probe: (by, host) => probeHost(context, by, host),
    async schedule(by, host, scheduling) {
      await store.mutate(by, clock.now(), async (tx) => {
        const [before] = await tx.lockHosts({ host });
        found(before ?? null, host);
        if (before?.scheduling === scheduling) return { result: null, audit: null };
        await tx.setScheduling(host, scheduling);
        return {
          result: null,
          audit: {
            action: scheduling === 'open' ? 'host.uncordoned' : 'host.cordoned',
            subject: host,
            before: { scheduling: before?.scheduling },
            after: { scheduling },
          },
        };
      });
      return hostShown(found(await store.host(host), host));
    },
    async remove(by, host) {
      await store.mutate(by, clock.now(), async (tx) => {
        const [locked] = await tx.lockHosts({ host });
        const before = found(locked ?? null, host);
        if (before.tenants > 0) {
          throw new BerthError(
            'conflict',
            `Host ${before.name} still carries ${before.tenants === 1 ? 'a tenant' : `${before.tenants} tenants`}. Delete them first: "berth tenant list --host ${host}".`,
            { details: { tenants: before.tenants } },
          );
        }
        await tx.deleteHost(host);
        await tx.addEvents([
          {
            kind: 'host.removed',
            at: clock.now(),
            tenant: null,
            app: null,
            host,
            generation: null,
            message: `Host ${before.name} was removed from pool ${before.pool}.`,
            details: { name: before.name, pool: before.pool },
          },
        ]);
        return {
          result: null,
          audit: {
            action: 'host.removed',
            subject: host,
            before: { name: before.name, pool: before.pool, publicKey: before.publicKey },
            after: null,
          },
        };
      });
      fleet.removed(host);
    },
  };
}

function found<T>(host: T | null, id: string): T {
  if (host !== null) return host;
  throw new BerthError('not_found', `There is no host ${id}; see "berth host list".`);
}

function usedTwice(name: string, usedBy: string): Refusal {
  return {
    kind: 'host.enrolment_refused',
    instance: name,
    other: usedBy,
    host: usedBy,
    message: `A host that calls itself ${name} came with the join token that host ${usedBy} used. Who else has that token?`,
  };
}

function checkUsable(token: JoinTokenRecord, at: number): void {
  if (token.usedBy !== null) {
    throw new BerthError(
      'unauthenticated',
      'This join token was used by another host. Each host needs its own: "berth host join-token".',
    );
  }
  if (token.expiresAt <= at) {
    throw new BerthError(
      'unauthenticated',
      'This join token has run out. Make a new one with "berth host join-token".',
    );
  }
}
