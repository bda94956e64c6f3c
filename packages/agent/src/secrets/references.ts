import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { MAX_SECRET_BYTES } from '@berth/shared/domain/secret';
import type { AwsAsk } from '../system/aws-ask.ts';
import type { AskAws } from '../system/aws.ts';
import type { KeyWrap } from './host-key.ts';

export interface AwsSettings {
  region?: string | undefined;
  endpoint?: string | undefined;
}

/** Finds out the value that a reference leads to, with the host's own role. Errors: `secret_unavailable`. */
export type Resolve = (
  of: { tenant: string; name: string; from: string },
  signal?: AbortSignal,
) => Promise<Buffer>;

export function createResolve(ask: AskAws, settings: AwsSettings): Resolve {
  return async ({ tenant, name, from }, signal) => {
    const refuse = (why: string, cause?: unknown): BerthError =>
      new BerthError(
        'secret_unavailable',
        `The secret ${name} of tenant ${tenant} could not be had from ${from}: ${why}. What runs is left as it is, and it is tried again.`,
        { cause, details: { tenant, secret: name } },
      );
    let value: Buffer;
    try {
      value = await ask({ ...settings, of: questionOf(from) }, signal);
    } catch (cause) {
      if (signal?.aborted === true) throw cause;
      throw refuse(messageOf(cause).replace(/\.$/, ''), cause);
    }
    if (value.length === 0) throw refuse('its value is empty');
    if (value.length > MAX_SECRET_BYTES) throw refuse('its value is larger than 64 KB');
    return value;
  };
}

/** What a reference asks for; its form was checked when it was set. */
export function questionOf(from: string): AwsAsk['of'] {
  const at = from.indexOf(':');
  const rest = from.slice(at + 1);
  if (from.startsWith('aws-ssm:')) return { kind: 'parameter', name: rest };
  const found = /^([^#@]+)(?:#([^@]+))?(?:@(.+))?$/.exec(rest);
  const [, id = rest, key, stage] = found ?? [];
  return {
    kind: 'secret',
    id,
    ...(key === undefined ? {} : { key }),
    ...(stage === undefined ? {} : { stage }),
  };
}

/** The host's key under a KMS key, bound to what it is. */
export function kmsWrap(ask: AskAws, settings: AwsSettings & { key: string }): KeyWrap {
  const { key, region, endpoint } = settings;
  const where = { region, endpoint };
  const context = { purpose: 'berth-host-sealing-key' };
  return {
    name: `the KMS key ${key}`,
    wrap: async (text, signal) =>
      (await ask({ ...where, of: { kind: 'wrap', key, text, context } }, signal)).toString('base64'),
    unwrap: async (blob, signal) =>
      (await ask({ ...where, of: { kind: 'unwrap', key, blob, context } }, signal)).toString(),
  };
}
