import type { AddTrust, ExchangedToken, Trust } from '@berth/shared/api/oidc';
import { EVERYTHING } from '@berth/shared/domain/access';
import { BerthError } from '@berth/shared/domain/errors';
import type { z } from 'zod';
import { freshToken } from './access.ts';
import type { ServiceContext } from './context.ts';
import type { Claims, IdentityVerifier } from './identity.ts';
import { trusts } from './oidc-match.ts';
import type { Actor, NewEvent } from './records.ts';
import { randomText, tokenHash } from './tokens.ts';

export interface Oidc {
  list(): Promise<Trust[]>;
  add(by: Actor, given: AddTrust): Promise<Trust>;
  /** Errors: `not_found`. */
  remove(by: Actor, id: string): Promise<void>;
  /**
   * Gives a deployer token for an identity token that a rule trusts; where several do, of all their apps, for the
   * shortest time. An identity token is good for one exchange. Errors: `unauthenticated`, `unavailable`.
   */
  exchange(by: Actor, token: string): Promise<z.infer<typeof ExchangedToken>>;
}

const ID_ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';
/** How much longer than a token is valid its number is remembered: more than clocks may differ. */
const REMEMBER_MS = 5 * 60_000;

export function createOidc(
  { store, clock, random }: Pick<ServiceContext, 'store' | 'clock' | 'random'>,
  verifier: IdentityVerifier,
): Oidc {
  return {
    list: () => store.trusts(),
    async add(by, given) {
      const at = clock.now();
      const rule: Trust = {
        ...given,
        id: `o_${randomText(12, ID_ALPHABET, random)}`,
        createdAt: at,
        createdBy: by.actor,
      };
      await store.mutate(by, at, async (tx) => {
        await tx.insertTrust(rule);
        return {
          result: null,
          audit: { action: 'oidc-trust.added', subject: rule.id, before: null, after: rule },
        };
      });
      return rule;
    },
    async remove(by, id) {
      await store.mutate(by, clock.now(), async (tx) => {
        const before = (await tx.trusts()).find((rule) => rule.id === id);
        if (before === undefined)
          throw new BerthError('not_found', `There is no trust rule ${id}; see "berth oidc trust list".`);
        await tx.deleteTrust(id);
        return { result: null, audit: { action: 'oidc-trust.removed', subject: id, before, after: null } };
      });
    },
    async exchange(by, token) {
      const issuer = verifier.issuerOf(token);
      const known = (await store.trusts()).filter((rule) => rule.issuer === issuer);
      // Nothing is fetched for an issuer that nobody trusts.
      if (issuer === null || known.length === 0)
        throw new BerthError(
          'unauthenticated',
          'This is no identity token of an issuer that is trusted here; see "berth oidc trust list".',
        );
      const claims = await verifier.verify(token, issuer, [...new Set(known.map((rule) => rule.audience))]);
      const rules = known.filter((rule) => trusts(rule, claims));
      if (rules.length === 0) throw notTrusted(claims);
      const at = clock.now();
      const apps = [...new Set(rules.flatMap((rule) => rule.apps))].sort();
      const { token: made, record: drafted } = freshToken(
        {
          name: nameOf(claims),
          role: 'deployer',
          scope: { ...EVERYTHING, apps },
          ttlMs: Math.min(...rules.map((rule) => rule.ttlMs)),
        },
        at,
        random,
      );
      // Told apart from tokens that people made, so that it can be forgotten once it has run out.
      const record = { ...drafted, id: drafted.id.replace(/^t_/, 'ci_') };
      const job = { actor: `oidc:${nameOf(claims)}`, requestId: by.requestId };
      return await store.mutate(job, at, async (tx) => {
        const used = tokenHash(JSON.stringify([issuer, claims.jti]));
        if ((await tx.useIdentity(used, claims.exp * 1000 + REMEMBER_MS, at)) === 'used')
          throw new BerthError(
            'unauthenticated',
            'This identity token was exchanged already, and each is good for one exchange. Ask the CI for a new one.',
          );
        await tx.insertToken(record, tokenHash(made));
        await tx.addEvents(apps.map((app) => exchanged(app, claims, record.expiresAt ?? at, at)));
        return {
          result: { token: made, id: record.id, name: record.name, apps, expiresAt: record.expiresAt ?? at },
          audit: {
            action: 'token.exchanged',
            subject: record.id,
            before: null,
            after: { ...record, trust: rules.map((rule) => rule.id), said: saidBy(claims) },
          },
        };
      });
    },
  };
}

function notTrusted({ repository, ref, environment, event_name: event }: Claims): BerthError {
  const where = environment === undefined ? 'without an environment' : `in environment ${environment}`;
  return new BerthError(
    'unauthenticated',
    `No trust rule fits a job of ${repository} at ${ref}, ${where}, for ${event ?? 'an unknown event'}. An admin adds one with "berth oidc trust add".`,
    { details: { repository, ref, environment: environment ?? null, event: event ?? null } },
  );
}

function nameOf({ repository, run_id: run }: Claims): string {
  return run === undefined ? repository : `${repository} run ${run}`;
}

/** What the audit keeps of it. */
function saidBy(claims: Claims): Record<string, unknown> {
  const { iss, repository, ref, environment, event_name, run_id, workflow_ref, sha, actor } = claims;
  return { issuer: iss, repository, ref, environment, event_name, run_id, workflow_ref, sha, actor };
}

function exchanged(app: string, claims: Claims, until: number, at: number): NewEvent {
  const minutes = Math.round((until - at) / 60_000);
  return {
    kind: 'token.exchanged',
    at,
    tenant: null,
    app,
    host: null,
    generation: null,
    message: `A job of ${nameOf(claims)} (${claims.ref}) may deploy ${app} for ${minutes} min.`,
    details: { repository: claims.repository, ref: claims.ref, run: claims.run_id ?? null },
  };
}
