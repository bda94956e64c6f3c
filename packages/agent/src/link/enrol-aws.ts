import { z } from 'zod';
import { BerthError } from '@berth/shared/domain/errors';
import { HostId } from '@berth/shared/domain/ids';
import { challengeHeader, possessionText } from '@berth/shared/protocol/enrolment';
import type { Clock } from '../state/ports.ts';
import type { Identity } from '../state/identity.ts';
import type { Imds } from '../system/imds.ts';
import { askCoordinator } from './ask.ts';

const Challenge = z.object({ challenge: z.string().min(1).max(200) });
const Enrolled = z.object({ host: HostId, pool: z.string() });

/** The saved identity is that of another machine: this disk is a copy. It must not be used, and nothing that came with it. */
export class AnotherMachine extends BerthError {
  readonly was: string;
  constructor(was: string, is: string) {
    super(
      'conflict',
      `This machine is ${is}, but the saved identity is that of ${was}: the disk is a copy. What was saved is set aside, and this machine enrols as a host of its own.`,
    );
    this.was = was;
  }
}

/**
 * Makes sure which instance this is, each time an agent starts, and enrols it when it is not yet. Errors: `unavailable`
 * while IMDS, the coordinator or STS cannot be asked; `unauthenticated` when the proof or the pool's rule is not
 * fulfilled; AnotherMachine.
 */
export async function enrolOnAws(options: {
  url: string;
  name: string;
  pool: string;
  /** Null: the address of STS in the instance's region. */
  stsEndpoint: string | null;
  identity: Identity;
  imds: Imds;
  clock: Clock;
  signal?: AbortSignal;
}): Promise<string> {
  const { url, name, pool, identity, imds, clock, signal } = options;
  // Before anything else, also for an identity that is bound already: whose it is, only IMDS knows.
  const document = await imds.document(signal);
  const saved = identity.instance();
  if (saved !== null && saved !== document.instance) throw new AnotherMachine(saved, document.instance);
  if (saved === null) await identity.claim(document.instance);
  const bound = identity.host();
  if (bound !== null) return bound;

  const { challenge } = await askCoordinator(url, '/api/v1/hosts/enrol/challenge', {}, Challenge, signal);
  const { publicKey } = identity;
  const { signIdentityRequest } = await import('./aws-sign-sdk.ts');
  const sts = await signIdentityRequest({
    endpoint: new URL(options.stsEndpoint ?? stsOf(document.region)),
    region: document.region,
    credentials: await imds.credentials(signal),
    header: challengeHeader(challenge, publicKey),
    at: clock.now(),
  });
  const proof = {
    pool,
    name,
    publicKey,
    challenge,
    possession: identity.sign(possessionText(challenge)),
    aws: { sts, document: document.text, rsa2048: document.rsa2048 },
  };
  try {
    const { host } = await askCoordinator(url, '/api/v1/hosts/enrol', proof, Enrolled, signal);
    await identity.bind(host);
    return host;
  } catch (thrown) {
    // A key that came along in an image belongs to the first machine that showed it; this one makes its own.
    if (isCopiedKey(thrown, document.instance)) await identity.renew();
    throw thrown;
  }
}

function isCopiedKey(thrown: unknown, instance: string): boolean {
  if (!(thrown instanceof BerthError)) return false;
  const { reason, other } = thrown.details;
  return reason === 'clone' && other !== instance;
}

function stsOf(region: string): string {
  return `https://sts.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`;
}
