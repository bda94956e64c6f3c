import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { HostId } from '@berth/shared/domain/ids';
import type { Identity } from '../state/identity.ts';
import { postJson } from './post.ts';

/** Where the join token comes from. Never an argument: those are for everyone on the host to read. */
export type TokenSource = { kind: 'file'; path: string } | { kind: 'env'; variable: string };

const Enrolled = z.object({ host: HostId, pool: z.string() });
const Refusal = z.object({ error: z.object({ message: z.string() }) });

/**
 * Binds this host's key at the coordinator by a join token, once; an identity that is bound already is left alone.
 * Errors: `unauthenticated` when the token is not accepted, `unavailable` when nobody answers.
 */
export async function enrol(options: {
  url: string;
  name: string;
  token: TokenSource;
  identity: Identity;
  env?: Readonly<Record<string, string | undefined>>;
  signal?: AbortSignal;
}): Promise<string> {
  const bound = options.identity.host();
  if (bound !== null) return bound;
  const token = await readToken(options.token, options.env ?? process.env);
  const address = new URL('/api/v1/hosts/enrol', options.url);
  const body = JSON.stringify({ token, publicKey: options.identity.publicKey, name: options.name });
  const { status, answer } = await postJson(address, body, options.signal).catch((cause: unknown) => {
    throw new BerthError('unavailable', `No coordinator answers at ${address.origin}: ${messageOf(cause)}.`, {
      cause,
    });
  });
  if (status < 200 || status > 299) {
    const refusal = Refusal.safeParse(answer);
    const why = refusal.success ? refusal.data.error.message : `it answered ${status}`;
    const code = status === 401 || status === 403 ? 'unauthenticated' : 'unavailable';
    throw new BerthError(code, `The coordinator at ${address.origin} did not enrol this host: ${why}`);
  }
  const enrolled = Enrolled.safeParse(answer);
  if (!enrolled.success)
    throw new BerthError(
      'internal',
      `The coordinator at ${address.origin} enrolled this host in an unknown way.`,
    );
  await options.identity.bind(enrolled.data.host);
  return enrolled.data.host;
}

async function readToken(
  source: TokenSource,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  let text: string;
  let where: string;
  if (source.kind === 'file') {
    where = source.path;
    try {
      text = await readFile(source.path, 'utf8');
    } catch (cause) {
      throw new BerthError('invalid_request', `The join token file ${source.path} cannot be read.`, {
        cause,
      });
    }
  } else {
    where = `the environment variable ${source.variable}`;
    text = env[source.variable] ?? '';
  }
  const token = text.trim();
  if (token === '')
    throw new BerthError(
      'invalid_request',
      `There is no join token in ${where}; make one with: berth host join-token`,
    );
  return token;
}
