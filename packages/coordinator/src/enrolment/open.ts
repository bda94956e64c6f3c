import { verify } from 'node:crypto';
import type { AwsRule, EnrolAws } from '@berth/shared/api/enrolment';
import { BerthError } from '@berth/shared/domain/errors';
import { possessionText } from '@berth/shared/protocol/enrolment';
import { openCertificates } from './certificates.ts';
import { createChallenges, type ChallengeCheck } from './challenge.ts';
import { partitionOf, readDocument, type InstanceDocument } from './document.ts';
import { tagsOf } from './ec2-tags.ts';
import { createGate, createPace, tooMany } from './gate.ts';
import type { ProvenInstance } from './rule.ts';
import type { AwsCredentials } from './sigv4.ts';
import { callerOf } from './sts-answer.ts';
import { callSts } from './sts-call.ts';
import { checkRequest, type CheckedRequest } from './sts-request.ts';

export interface EnrolmentSettings {
  /** Origins that stand for STS besides its own addresses. */
  stsEndpoints: readonly string[];
  stsTimeoutMs?: number | undefined;
  /** Instead of EC2's own address. */
  ec2Endpoint: string | null;
  /** Region to the PEM file with AWS's certificates of it, in place of those that come with Berth. */
  certificates: Readonly<Record<string, string>>;
  /** In place of the coordinator's own credentials, for tests. */
  credentials?: (region: string) => Promise<AwsCredentials>;
}

/** A proof that holds as far as can be told without asking AWS. */
export interface Claim {
  document: InstanceDocument;
  request: CheckedRequest;
  signature: { text: string; rsa2048: string };
  challengeExpiresAt: number;
}

/** Finds out which instance of AWS speaks. It knows nothing of hosts and pools. */
export interface Enrolment {
  challenge(at: number, random: (count: number) => Uint8Array): { challenge: string; expiresAt: number };
  /** Whether this is a challenge of ours that has not run out, and was signed by the key that is named. */
  checkChallenge(given: Pick<EnrolAws, 'challenge' | 'publicKey' | 'possession'>, at: number): number;
  /**
   * What is cheap to check: challenge and key, the request's form, its clock. The document is read, and not proven yet.
   * Errors: `unauthenticated`.
   */
  read(given: EnrolAws, at: number): Claim;
  /**
   * Checks the document's signature. That is the costly part, so of all at once only so many are checked in a second, and
   * fewer of those whose claim does not fit the rule anyway. Errors: `unauthenticated`, `rate_limited`; `unavailable`
   * without a certificate for the region.
   */
  verify(claim: Claim, at: number, claims: 'fit' | 'do-not-fit'): Promise<void>;
  /** Asks STS whose signature it is. Errors: `unauthenticated`, `unavailable`, `timeout`, `rate_limited`; Mismatch. */
  prove(claim: Claim, at: number, signal?: AbortSignal): Promise<ProvenInstance>;
  /** The tags that EC2 knows of the instance; none are asked for when the rule has none. */
  tags(
    rule: AwsRule,
    instance: ProvenInstance,
    at: number,
    signal?: AbortSignal,
  ): Promise<Record<string, string>>;
}

/** Two proofs that each hold, of two different machines. */
export class Mismatch extends BerthError {
  readonly instance: string;
  readonly other: string;
  constructor(instance: string, other: string, message: string) {
    super('unauthenticated', message, { details: { reason: 'mismatch', instance, other } });
    this.instance = instance;
    this.other = other;
  }
}

const AT_ONCE = 16;
const WAITING = 256;

/** `key` is what challenges are signed with, the same for all coordinators of a store. */
export function openEnrolment(settings: EnrolmentSettings, key: string): Enrolment {
  const challenges = createChallenges(key);
  const certificates = openCertificates(settings.certificates);
  const throughGate = createGate(AT_ONCE, WAITING);
  const credentials =
    settings.credentials ??
    (async (region: string) => (await import('./credentials-sdk.ts')).ownCredentials(region));
  const paces = { fit: createPace(100, 200), 'do-not-fit': createPace(5, 20) };

  /** Answers when the challenge runs out, which is signed by the key that is named. */
  function checkChallenge(given: EnrolAws, at: number): number {
    const expiresAt = goodUntil(challenges.check(given.challenge, at));
    if (holds(given)) return expiresAt;
    throw new BerthError('unauthenticated', 'The host does not hold the key that it names.', {
      details: { reason: 'possession' },
    });
  }

  return {
    challenge: (at, random) => challenges.issue(at, random),
    checkChallenge,
    read(given, at) {
      const challengeExpiresAt = checkChallenge(given, at);
      const { challenge, publicKey, aws } = given;
      const request = checkRequest(aws.sts, { challenge, publicKey, endpoints: settings.stsEndpoints, at });
      const signature = { text: aws.document, rsa2048: aws.rsa2048 };
      return { document: readDocument(aws.document), request, signature, challengeExpiresAt };
    },
    async verify({ document, signature: { text, rsa2048 } }, at, claims) {
      const { AWS_CERTIFICATES, pkcs7Fault } = await import('./pkcs7-sdk.ts');
      const keys = certificates.keysOf(document.region, at, AWS_CERTIFICATES);
      if (!paces[claims].take(at)) throw tooMany();
      const fault = pkcs7Fault(Buffer.from(rsa2048, 'base64'), Buffer.from(text, 'utf8'), keys);
      if (fault !== null) {
        throw new BerthError(
          'unauthenticated',
          `The instance identity document of ${document.instance} is not proven: its signature ${fault}.`,
          { details: { reason: 'document', instance: document.instance } },
        );
      }
    },
    async prove({ document, request }, at, signal) {
      const answer = await throughGate(() =>
        callSts(request, {
          ...(settings.stsTimeoutMs === undefined ? {} : { timeoutMs: settings.stsTimeoutMs }),
          ...(signal === undefined ? {} : { signal }),
        }),
      );
      const caller = callerOf(answer, at);
      const { instance, account, region } = document;
      if (caller.session !== instance) {
        throw new Mismatch(
          instance,
          caller.session,
          `The identity document is that of ${instance}, but the request to STS was signed by ${caller.session}: a document from another machine proves nothing.`,
        );
      }
      if (caller.account !== account || caller.partition !== partitionOf(region)) {
        throw new Mismatch(
          instance,
          `${caller.partition}:${caller.account}`,
          `The identity document of ${instance} is of account ${account}, but the request to STS was signed in account ${caller.account} (${caller.partition}).`,
        );
      }
      return { ...document, role: caller.role };
    },
    async tags(rule, { instance, region }, at, signal) {
      if (Object.keys(rule.tags).length === 0) return {};
      const options = { endpoint: settings.ec2Endpoint, credentials, at };
      return await throughGate(() => tagsOf(instance, region, options, signal));
    },
  };
}

function goodUntil(check: ChallengeCheck): number {
  switch (check.kind) {
    case 'good':
      return check.expiresAt;
    case 'expired':
      throw new BerthError(
        'unauthenticated',
        'The challenge has run out before the proof came; the host is to ask for a new one. If this comes again, compare the coordinators’ clocks.',
        { details: { reason: 'challenge' } },
      );
    case 'not-ours':
      throw new BerthError('unauthenticated', 'The challenge is not one of this coordinator.', {
        details: { reason: 'challenge' },
      });
  }
}

function holds({
  challenge,
  publicKey,
  possession,
}: Pick<EnrolAws, 'challenge' | 'publicKey' | 'possession'>): boolean {
  try {
    const key = `-----BEGIN PUBLIC KEY-----\n${publicKey}\n-----END PUBLIC KEY-----\n`;
    return verify(null, Buffer.from(possessionText(challenge)), key, Buffer.from(possession, 'base64'));
  } catch {
    return false;
  }
}
