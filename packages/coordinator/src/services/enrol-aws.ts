import { createHash } from 'node:crypto';
import type { AwsRule, Challenge, EnrolAws, Reenrol } from '@berth/shared/api/enrolment';
import type { Enrolled } from '@berth/shared/api/schemas';
import { BerthError, unreachable } from '@berth/shared/domain/errors';
import type { z } from 'zod';
import { bindingFor, type Binding } from '../enrolment/binding.ts';
import { Mismatch, type Enrolment } from '../enrolment/open.ts';
import { ruleFault, tagFault, type ProvenInstance } from '../enrolment/rule.ts';
import type { ServiceContext } from './context.ts';
import type { EnrolAlerts, Refusal } from './enrol-alerts.ts';
import { canonicalKey } from './enrol-key.ts';
import { announce, newHostId } from './enrol-host.ts';
import type { Actor } from './records.ts';
import type { StoreWrites } from './store.ts';

type EnrolledAnswer = z.infer<typeof Enrolled>;

/** How long an instance may bind a new key after an operator allowed it. */
export const REENROL_MS = 15 * 60_000;

export interface AwsEnrolment {
  challenge(): Challenge;
  /** Binds the key of an instance that proves itself and fits its pool's rule. Errors: see the decision on enrolment. */
  enrol(by: Actor, given: EnrolAws): Promise<EnrolledAnswer>;
  /** Lets the instance of a host bind a new key for a while. Errors: `not_found`, `conflict`. */
  reenrol(by: Actor, host: string): Promise<z.infer<typeof Reenrol>>;
}

export function createAwsEnrolment(context: ServiceContext, alerts: EnrolAlerts): AwsEnrolment {
  const { store, fleet, clock, random } = context;
  const enrolment = (): Enrolment => {
    if (context.enrolment !== undefined) return context.enrolment;
    throw new BerthError('unavailable', 'This coordinator does not enrol instances of AWS.');
  };

  async function proven(given: EnrolAws): Promise<{ instance: ProvenInstance; challengeExpiresAt: number }> {
    const claim = enrolment().read(given, clock.now());
    const { document, challengeExpiresAt } = claim;
    const rule = await ruleOf(given.pool);
    // Of the role nobody knows yet. STS is not asked for those whom the rule does not want anyway.
    const fault = ruleFault(rule, { ...document, role: rule.roles[0] ?? '' }, clock.now());
    await enrolment().verify(claim, clock.now(), fault === null ? 'fit' : 'do-not-fit');
    refuseBy(fault, document.instance, given.pool);
    const instance = await enrolment().prove(claim, clock.now());
    refuseBy(ruleFault(rule, instance, clock.now()), instance.instance, given.pool);
    const tags = await enrolment().tags(rule, instance, clock.now());
    refuseBy(tagFault(rule, tags), instance.instance, given.pool);
    return { instance, challengeExpiresAt };
  }

  async function ruleOf(pool: string): Promise<AwsRule> {
    const rule = await store.joinRule(pool);
    if (rule !== null) return rule;
    throw new BerthError(
      'forbidden',
      `No instance may join the pool ${pool} by itself; an admin says which may: berth pool join ${pool} --aws-account … --region … --role …`,
      { details: { reason: 'rule' } },
    );
  }

  async function bind(
    tx: StoreWrites,
    instance: ProvenInstance,
    given: EnrolAws,
    publicKey: string,
    at: number,
  ): Promise<{ binding: Binding; answer: EnrolledAnswer; audit: BindAudit | null }> {
    const bound = await tx.instance(instance.instance);
    const boundHost = bound === null ? null : await tx.host(bound.host);
    const keyHost = await tx.hostByKey(publicKey);
    const keyInstance = keyHost === null ? null : await tx.instanceOf(keyHost.host);
    const binding = bindingFor({
      instance: instance.instance,
      bound:
        bound === null
          ? null
          : {
              host: bound.host,
              presence: boundHost === null ? 'removed' : 'present',
              pool: boundHost?.pool ?? given.pool,
              reenrolUntil: bound.reenrolUntil,
            },
      keyOf: keyHost === null ? null : { host: keyHost.host, instance: keyInstance?.instance ?? null },
      pool: given.pool,
      at,
    });
    switch (binding.kind) {
      case 'same':
        return {
          binding,
          answer: { host: binding.host, pool: keyHost?.pool ?? given.pool },
          audit: null,
        };
      case 'rebind':
        await tx.setHostKey(binding.host, publicKey);
        await tx.setReenrolment(instance.instance, null);
        return {
          binding,
          answer: { host: binding.host, pool: given.pool },
          audit: {
            action: 'host.reenrolled',
            subject: binding.host,
            before: { publicKey: boundHost?.publicKey ?? null },
            after: { publicKey, instance: instance.instance },
          },
        };
      case 'new': {
        const host = newHostId(random);
        const record = { host, name: given.name, publicKey, pool: given.pool, createdAt: at };
        await tx.insertHost(record);
        const { account, region, role, image } = instance;
        const about = { instance: instance.instance, host, account, region, role, image };
        if (!(await tx.bindInstance({ ...about, enrolledAt: at, reenrolUntil: null })))
          throw new BerthError('conflict', 'This instance enrolled twice at the same moment; try again.');
        return {
          binding,
          answer: { host, pool: given.pool },
          audit: { action: 'host.enrolled', subject: host, before: null, after: { ...record, ...about } },
        };
      }
      case 'clone':
      case 'refused':
        return { binding, answer: { host: binding.host, pool: given.pool }, audit: null };
      default:
        return unreachable(binding);
    }
  }

  async function enrolProven(by: Actor, given: EnrolAws): Promise<EnrolledAnswer> {
    const publicKey = canonicalKey(given.publicKey);
    const { instance, challengeExpiresAt } = await proven({ ...given, publicKey });
    const at = clock.now();
    const hash = createHash('sha256').update(given.challenge).digest('hex');
    const joining = { actor: `instance:${instance.instance}`, requestId: by.requestId };
    const { binding, answer } = await store.mutate(joining, at, async (tx) => {
      if (!(await tx.spendChallenge(hash, challengeExpiresAt, at))) {
        throw new BerthError('unauthenticated', 'This challenge was used before: a proof is good once.', {
          details: { reason: 'replay' },
        });
      }
      const done = await bind(tx, instance, given, publicKey, at);
      if (done.audit !== null) await announceBound(tx, done.binding, given, instance.instance, at);
      // A challenge is spent also by who is refused.
      return { result: done, audit: done.audit ?? 'bookkeeping' };
    });
    switch (binding.kind) {
      case 'new':
      case 'same':
        return answer;
      case 'rebind':
        // Who holds the old key has no business here any more.
        fleet.removed(answer.host);
        return answer;
      case 'clone':
      case 'refused':
        throw new Refused(
          {
            kind: binding.kind === 'clone' ? 'host.clone_refused' : 'host.enrolment_refused',
            instance: instance.instance,
            other: binding.kind === 'clone' ? binding.other : binding.host,
            host: binding.host,
            message: '',
          },
          `This host is not enrolled: ${binding.why}.`,
          binding.kind === 'clone' ? 'clone' : 'binding',
        );
      default:
        return unreachable(binding);
    }
  }

  return {
    challenge: () => enrolment().challenge(clock.now(), random),
    async enrol(by, given) {
      try {
        return await enrolProven(by, given);
      } catch (thrown) {
        const refusal = refusalOf(thrown);
        if (refusal !== null) await alerts.raise(refusal);
        throw thrown;
      }
    },
    async reenrol(by, host) {
      const at = clock.now();
      const until = at + REENROL_MS;
      return await store.mutate(by, at, async (tx) => {
        const [one] = await tx.lockHosts({ host });
        if (one === undefined)
          throw new BerthError('not_found', `There is no host ${host}; see "berth host list".`);
        const bound = await tx.instanceOf(host);
        if (bound === null) {
          throw new BerthError(
            'conflict',
            `Host ${one.name} joined with a token. If its key was lost, remove it and let it join anew: berth host join-token --pool ${one.pool}`,
          );
        }
        await tx.setReenrolment(bound.instance, until);
        await tx.addEvents([
          {
            kind: 'host.reenrol_opened',
            at,
            tenant: null,
            app: null,
            host,
            generation: null,
            message: `${bound.instance}, host ${one.name}, may bind a new key until ${new Date(until).toISOString()}.`,
            details: { instance: bound.instance, until },
          },
        ]);
        return {
          result: { host, instance: bound.instance, until },
          audit: {
            action: 'host.reenrol-opened',
            subject: host,
            before: { until: bound.reenrolUntil },
            after: { instance: bound.instance, until },
          },
        };
      });
    },
  };
}

interface BindAudit {
  action: string;
  subject: string;
  before: unknown;
  after: unknown;
}

/** A refusal that people are told of. */
class Refused extends BerthError {
  readonly refusal: Refusal;
  constructor(refusal: Refusal, message: string, reason: string) {
    super('forbidden', message, { details: { reason, instance: refusal.instance, other: refusal.other } });
    this.refusal = { ...refusal, message };
  }
}

function refuseBy(fault: string | null, instance: string, pool: string): void {
  if (fault === null) return;
  throw new Refused(
    { kind: 'host.enrolment_refused', instance, other: `pool ${pool}`, host: null, message: '' },
    `${instance} may not join the pool ${pool}: ${fault}.`,
    'rule',
  );
}

/** What of a failed attempt people are told; a clock, a time-out or a challenge that ran out is for the host alone. */
function refusalOf(thrown: unknown): Refusal | null {
  if (thrown instanceof Refused) return thrown.refusal;
  if (thrown instanceof Mismatch) {
    const { instance, other, message } = thrown;
    return { kind: 'host.enrolment_refused', instance, other, host: null, message };
  }
  if (!(thrown instanceof BerthError)) return null;
  const { reason, instance } = thrown.details;
  if (reason !== 'document' || typeof instance !== 'string') return null;
  return {
    kind: 'host.enrolment_refused',
    instance,
    other: 'its document',
    host: null,
    message: thrown.message,
    weight: 'claimed',
  };
}

async function announceBound(
  tx: StoreWrites,
  binding: Binding,
  given: EnrolAws,
  instance: string,
  at: number,
): Promise<void> {
  if (binding.kind === 'rebind') {
    await tx.addEvents([
      {
        kind: 'host.reenrolled',
        at,
        tenant: null,
        app: null,
        host: binding.host,
        generation: null,
        message: `${instance}, host ${binding.host}, bound a new key.`,
        details: { instance },
      },
    ]);
    return;
  }
  const bound = await tx.instance(instance);
  if (bound !== null)
    await announce(tx, { host: bound.host, name: given.name, pool: given.pool, instance }, at);
}
