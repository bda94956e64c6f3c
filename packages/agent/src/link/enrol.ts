import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { BerthError } from '@berth/shared/domain/errors';
import { HostId } from '@berth/shared/domain/ids';
import type { Identity } from '../state/identity.ts';
import { askCoordinator } from './ask.ts';

/** Where the join token comes from. Never an argument: those are for everyone on the host to read. */
export type TokenSource = { kind: 'file'; path: string } | { kind: 'env'; variable: string };

const Enrolled = z.object({ host: HostId, pool: z.string() });

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
  const body = { token, publicKey: options.identity.publicKey, name: options.name };
  const { host } = await askCoordinator(options.url, '/api/v1/hosts/enrol', body, Enrolled, options.signal);
  await options.identity.bind(host);
  return host;
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
