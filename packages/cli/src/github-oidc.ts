import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@berth/shared/api/client';
import type { ExchangedToken } from '@berth/shared/api/oidc';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { z } from 'zod';
import type { Environment } from './config.ts';
import { UsageError } from './exit-codes.ts';

const Answer = z.object({ value: z.string().min(1).max(16_384) });
const TIMEOUT_MS = 15_000;

/**
 * Asks GitHub Actions for an identity token of the job that runs this. Errors: UsageError where there is no such job,
 * `unavailable` when GitHub does not answer.
 */
async function githubToken(env: Environment, audience: string, signal: AbortSignal): Promise<string> {
  const [address, secret] = [env['ACTIONS_ID_TOKEN_REQUEST_URL'], env['ACTIONS_ID_TOKEN_REQUEST_TOKEN']];
  if (!address || !secret || !URL.canParse(address)) {
    throw new UsageError(
      'There is no identity token to be had here: this is not a job of GitHub Actions, or it may not ask for one.',
      'Give the job the right to: permissions: { id-token: write, contents: read }',
    );
  }
  const url = new URL(address);
  if (url.protocol !== 'https:' && !['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname))
    throw new UsageError('ACTIONS_ID_TOKEN_REQUEST_URL must be an https address.');
  url.searchParams.set('audience', audience);
  try {
    const answer = await fetch(url, {
      headers: { authorization: `Bearer ${secret}`, accept: 'application/json' },
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
    return Answer.parse(await answer.json()).value;
  } catch (cause) {
    if (signal.aborted) throw cause;
    throw new BerthError('unavailable', `GitHub gave no identity token: ${messageOf(cause).slice(0, 200)}.`, {
      cause,
    });
  }
}

const TRIES = 4;
const Wait = z.object({ retryAfterMs: z.number().min(0).max(65_000) });

/**
 * Exchanges the identity of the job that runs this for a deployer token. Jobs on GitHub's own runners share their address
 * with strangers, whose refused tokens count against it: then it waits as it is told and tries again. Errors: those of
 * githubToken and of the exchange.
 */
export async function exchangeAsJob(
  { env, signal }: { env: Environment; signal: AbortSignal },
  url: string,
  audience: string | undefined,
): Promise<z.infer<typeof ExchangedToken>> {
  for (let tries = 1; ; tries += 1) {
    const token = await githubToken(env, audience ?? url, signal);
    try {
      return await createClient({ url }).exchangeToken({ body: { token } }, signal);
    } catch (thrown) {
      if (!(thrown instanceof BerthError) || thrown.code !== 'rate_limited' || tries === TRIES) throw thrown;
      const wait = Wait.safeParse(thrown.details);
      await sleep(wait.success ? wait.data.retryAfterMs : 5_000, undefined, { signal });
    }
  }
}
