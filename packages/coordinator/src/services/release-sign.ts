import type { SignedRelease, SignRelease } from '@berth/shared/api/releases';
import { signableOf } from '@berth/shared/compose/signable';
import { BerthError } from '@berth/shared/domain/errors';
import {
  keyFingerprint,
  keyHint,
  readPublicKey,
  verifyRelease,
  type AcceptedKey,
  type ReleaseSignature,
} from '@berth/shared/domain/signature';
import { signCommand, type ToSign } from '@berth/shared/domain/sign-command';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { AuditEntry, KeptSignature, ReleaseSource } from './records.ts';
import { isSignedFor, notSignedFor } from './pool-signed.ts';
import { goesByItsOwn } from './pool-signers.ts';
import type { StoreReads } from './store.ts';
import { invalidCompose, type TemplateCache } from './templates.ts';

const MOST_SIGNATURES = 4;

/**
 * The release with one more signature. What is signed is worked out anew from what is kept here, so that a signature over
 * anything else is refused now and not by every host later. Errors: `conflict`, `invalid_compose`, `invalid_request`.
 */
export function withSignature(
  cache: TemplateCache,
  source: ReleaseSource,
  { key, publicKey, value }: SignRelease,
): KeptSignature {
  const { app, release } = source;
  const what = `release ${release} of ${app}`;
  if (source.images !== 'pinned')
    throw new BerthError(
      'conflict',
      `The images of ${what} are not pinned by digest, so a signature would say nothing about them. Make a release with "berth release create ${app}" and sign that.`,
    );
  const images = Object.fromEntries(
    Object.entries(source.pins).map(([service, pin]) => [service, pin.reference]),
  );
  const made = signableOf({ app, release, template: cache.of(source), set: source.variables, images });
  if (!made.ok) throw invalidCompose(`Release ${release} of ${app} cannot be signed`, made.errors);
  const { open, spec } = made.signable;
  const by = { key, value };
  const read = readPublicKey(publicKey);
  const verdict = verifyRelease(
    { app, release, spec, signature: { open, by: [by] } },
    read === null ? [] : [{ name: key, key: read }],
  );
  if (verdict.kind === 'refused')
    throw new BerthError(
      'invalid_request',
      `This is no signature by ${key} of ${what} as it is kept here: another file, other variables, other digests or another version of berth were signed. See "berth release show ${app} ${release}".`,
    );
  // By the key and not by its name: whoever calls a key of his own like another's takes nobody's signature away.
  const others = (source.signature?.by ?? []).filter((each) => each.publicKey !== publicKey);
  if (others.length >= MOST_SIGNATURES)
    throw new BerthError(
      'conflict',
      `${MOST_SIGNATURES} keys have signed ${what} already, which is the most.`,
    );
  return { open, by: [...others, { ...by, publicKey }] };
}

/** What is answered, and what the audit keeps of it. */
export function signedAnswer(source: ReleaseSource, signature: KeptSignature): SignedRelease {
  const { app, release } = source;
  return { app, release, signatures: shownSignatures(signature) };
}

export function auditOfSigning(source: ReleaseSource, signature: KeptSignature): AuditEntry {
  const { app, release } = source;
  return {
    action: 'release.signed',
    subject: app,
    before: { release, signatures: shownSignatures(source.signature) },
    after: { release, signatures: shownSignatures(signature) },
  };
}

export function shownSignatures(signature: KeptSignature | undefined): SignedRelease['signatures'] {
  return (signature?.by ?? []).map(({ key, publicKey }) => ({ key, fingerprint: keyFingerprint(publicKey) }));
}

/** As it goes to hosts: which key is which is theirs to know. */
export function sentSignature(signature: KeptSignature | undefined): ReleaseSignature | undefined {
  if (signature === undefined) return undefined;
  return { open: signature.open, by: signature.by.map(({ key, value }) => ({ key, value })) };
}

/** A warning where hosts of these tenants would refuse the release; null where none would, as far as they have said. */
export async function signatureWarning(
  reads: Pick<StoreReads, 'signingHosts'>,
  source: ToSign & Pick<ReleaseSource, 'signature'>,
  hosts: readonly string[],
): Promise<string | null> {
  const { app, release, signature } = source;
  const demanding = await reads.signingHosts();
  const hints = (signature?.by ?? []).map(({ publicKey }) => keyHint(publicKey));
  const refused = hosts.filter((host) => demanding.get(host)?.some((hint) => hints.includes(hint)) === false);
  if (refused.length === 0) return null;
  const what = `has signed release ${release} of ${app}`;
  const sign = `"${signCommand(source)}" signs it.`;
  return refused.length === 1
    ? `1 tenant is on a host that runs only signed releases, and no key that it accepts ${what}: it would fail. ${sign}`
    : `${refused.length} tenants are on hosts that run only signed releases, and no key that those accept ${what}: they would fail. ${sign}`;
}

/**
 * An early and clear word where a pool, or a host of its own, runs signed releases only. It is the host that decides: this
 * only spares a try. Errors: `release_not_signed`.
 */
export async function requireSigned(
  reads: Pick<StoreReads, 'host' | 'release' | 'poolSigners'>,
  host: string,
  desired: DesiredTenant,
): Promise<void> {
  const view = await reads.host(host);
  if (view === null) return;
  // The host may not have heard yet of what its pool says.
  const statement = goesByItsOwn(view.facts) ? undefined : (await reads.poolSigners(view.pool)).at(-1);
  const ofPool = statement?.signers.required === true ? statement : null;
  const hints =
    ofPool?.signers.keys.map((each) => keyHint(each.publicKey)) ?? view.facts['releaseKeys']?.split(',');
  if (hints === undefined) return;
  const { app, release, tenant } = desired;
  const source = await reads.release(app, release);
  const kept = source?.signature;
  const toSign = source ?? { app, release, pins: {}, variables: {} };
  if (ofPool !== null && !isSignedFor(ofPool, kept))
    throw new BerthError('release_not_signed', notSignedFor(ofPool, toSign));
  const keys = (kept?.by ?? []).flatMap(({ key, publicKey }): AcceptedKey[] => {
    const read = readPublicKey(publicKey);
    return read === null || !hints.includes(keyHint(publicKey)) ? [] : [{ name: key, key: read }];
  });
  const accepted = view.facts['releaseSigners'];
  const what =
    ofPool === null
      ? `Host ${view.name} runs only releases that are signed by ${accepted ?? 'keys of its own'}`
      : `Pool ${view.pool} runs only releases that are signed`;
  if (keys.length === 0)
    throw new BerthError(
      'release_not_signed',
      `${what}, and release ${release} of ${app} is not. Sign it where your keys are with "${signCommand(toSign, accepted?.split(', ')[0])}", or use one that is signed.`,
    );
  const verdict = verifyRelease(desired, keys);
  if (verdict.kind === 'refused')
    throw new BerthError(
      'release_not_signed',
      `${what}. With the variables of ${tenant}, ${verdict.message}. What a release gives with --set cannot be given otherwise by its tenants or their pool.`,
    );
}
